"""/processes: those of all sworms, filtered, in any order, page after page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from supervisor.api.all_processes import SORTS
from tests.asking import Asking, asking
from tests.supervisor.agents import add_process, now, observer_writes


def pages(ask: Asking, query: str) -> list[dict[str, Any]]:
    """Every item, two at a time."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = ask.get(f"/processes?limit=2&{query}{cursor}").body
        found += answer["items"]
        if answer["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer['next_cursor']}"


@pytest.fixture
def several(db: None) -> None:
    observer_writes()
    for index, (sworm, name, node) in enumerate(
        [("rooms", "b", "n2"), ("rooms", "a", "n1"), ("games", "a", "n1"), ("games", "c", "n2"), ("games", "b", "n1")]
    ):
        started = now() + timedelta(microseconds=index * 7)
        add_process(sworm, name, node, epoch=index + 1, restarts=index % 2, started_at=started)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", SORTS)
def test_every_order_loses_and_repeats_nothing_from_page_to_page(
    sort: str, order: str, several: None, ask: Asking
) -> None:
    found = pages(ask, f"sort={sort}&order={order}")
    keys = [(item[sort], item["sworm"], item["name"]) for item in found]
    assert len(set(keys)) == 5
    assert keys == sorted(keys, reverse=order == "desc")


def test_filters_go_before_the_order(several: None, ask: Asking) -> None:
    found = pages(ask, "sworm=games&node=n1&sort=name&order=desc")
    assert [item["name"] for item in found] == ["b", "a"]
    assert [item["sworm"] for item in pages(ask, "q=B")] == ["games", "rooms"]


FILL = """
    INSERT INTO registry_process (sworm, name, pid, node, epoch, state, target, args, kwargs, isolation, groups, meta,
                                  restarts, started_at, "of", revision)
    SELECT 's' || n % 5, md5(n::text), 'n' || n % 9 || '.1.' || n, 'n' || n % 9, n * 7919 % 20011,
           CASE n % 500 WHEN 0 THEN 'failed' ELSE 'running' END, 'chat:Room', '[]', '{}', 'task', '[]', '{}',
           n % 17 / 16, now() - make_interval(secs => n), '', n
    FROM generate_series(1, 20000) AS n
"""
JOIN = """
    INSERT INTO registry_membership (sworm, "group", pid, name, revision)
    SELECT sworm, 'g' || revision % 500, pid, name, revision FROM registry_process
"""


@pytest.fixture
def many(db: None) -> None:
    """As many processes, and memberships, as make the planner think."""
    observer_writes()
    with connection.cursor() as cursor:
        for statement in (FILL, JOIN, "ANALYZE registry_process", "ANALYZE registry_membership"):
            cursor.execute(statement)


def plans(ask: Asking, query: str) -> list[str]:
    """How PostgreSQL finds the first page and the next."""
    with CaptureQueriesContext(connection) as seen:
        first = ask.get(f"/processes?limit=20&{query}").body
        ask.get(f"/processes?limit=20&{query}&cursor={first['next_cursor']}")
    found = [one["sql"] for one in seen if one["sql"].startswith("SELECT") and '"args"' in one["sql"]]
    assert (len(first["items"]), len(found)) == (20, 2)
    with connection.cursor() as cursor:
        for statement in found:
            cursor.execute(f"EXPLAIN {statement}")
        return [row[0] for row in cursor.fetchall()]


def test_every_order_is_an_index_entered_where_the_page_begins(many: None, ask: Asking) -> None:
    for sort in SORTS:
        for order in ("asc", "desc"):
            plan = "\n".join(plans(ask, f"sort={sort}&order={order}"))
            assert "Index Scan" in plan
            assert "Index Cond: (ROW(" in plan
            assert "Sort" not in plan
            assert "Filter" not in plan
    for filters in ("node=n3", "state=failed", "group=g7", "name_prefix=ab", "node=n3&sort=started_at"):
        assert "Seq Scan" not in "\n".join(plans(ask, filters))


def test_a_bound_token_sees_its_own_sworms(several: None) -> None:
    bound = asking(sworms=("rooms",))
    assert {item["sworm"] for item in pages(bound, "sort=node")} == {"rooms"}


@pytest.mark.parametrize(("query", "field"), [("sort=colour", "sort"), ("order=up", "order"), ("state=x", "state")])
def test_what_cannot_be_is_refused(query: str, field: str, ask: Asking) -> None:
    answer = ask.get(f"/processes?{query}")
    assert (answer.status, answer.fields) == (422, [field])


def test_a_cursor_belongs_to_its_order(several: None, ask: Asking) -> None:
    cursor = ask.get("/processes?limit=2&sort=started_at").body["next_cursor"]
    answer = ask.get(f"/processes?limit=2&sort=name&cursor={cursor}")
    assert (answer.status, answer.fields) == (422, ["cursor"])
