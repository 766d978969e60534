"""Real splits: agents in network namespaces whose cables are pulled and plugged in again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.core.spec import Definition
from supervisor.core.strategies import UNIFORM_QUORUM
from tests.live.lands import lands
from tests.supervisor.processes import until

pytestmark = pytest.mark.live

NAMES = [f"name{number}" for number in range(100)]


def test_a_split_with_the_same_names_on_both_sides_heals(
    tmp_path: Path, measured: Callable[[str, float], None]
) -> None:
    with lands(2, tmp_path, Definition("rooms", 1, handoff=True)) as two:
        two.register("n1", ["warm"])
        two.lands["n2"].pull()
        for at in ("n1", "n2"):
            until(lambda at=at: all(r["ok"] for r in two.register(at, NAMES)), f"all names run on {at}'s side")  # type: ignore[misc]
        before = {at: two.pids(at) for at in ("n1", "n2")}
        assert all(before["n1"][name] != before["n2"][name] for name in NAMES)
        two.lands["n2"].plug()
        plugged = time.monotonic()

        def met() -> bool:
            told = two.lands["n1"].ready(), two.lands["n2"].ready()
            return all(one.get("peers") and one["peers"][0]["state"] == "alive" for one in told)

        until(met, "both see each other")
        linked = time.monotonic()
        until(lambda: two.pids("n1") == two.pids("n2"), "one process for each name, the same for both")
        measured("a split of 100 names on both sides is settled, from the link", time.monotonic() - linked)
        measured("the same, from the cable", time.monotonic() - plugged)
        until(lambda: two.processes("n1") + two.processes("n2") == len(NAMES) + 1, "the losers are gone")
        kept = two.pids("n1")
        until(lambda: len({r["name"] for r in two.reports() if r["kind"] == "conflict"}) >= len(NAMES), "the events")
        conflicts = {report["name"]: report for report in two.reports() if report["kind"] == "conflict"}
        for name in NAMES:
            pair = {before["n1"][name], before["n2"][name]}
            assert kept[name] in pair
            (loser,) = pair - {kept[name]}
            detail = conflicts[name]["detail"]
            assert f"{kept[name]} (epoch " in detail
            assert f"outranks {loser} (epoch " in detail
            assert detail.endswith(("by epoch", "by majority", "by origin"))


def test_under_a_quorum_one_side_answers(tmp_path: Path, measured: Callable[[str, float], None]) -> None:
    definition = Definition("rooms", 1, distribution_strategy=UNIFORM_QUORUM)
    with lands(3, tmp_path, definition, SWORM_QUORUM_HOSTS="3") as three:
        results = three.register("n1", NAMES)
        assert all(result["ok"] for result in results), results[0]
        mine = {name for name, pid in three.pids("n1").items() if pid.startswith("n1.")}
        assert mine
        three.lands["n1"].pull()
        pulled = time.monotonic()
        until(lambda: three.processes("n2") + three.processes("n3") == len(NAMES), "the majority takes over")
        measured("a majority has taken over, from the cable", time.monotonic() - pulled)
        assert three.pids("n1").keys().isdisjoint(mine), "the minority has stopped before"
        refused = three.ask("n1", "register", name="more", target="examples.counters:Counter", args=[], kwargs={},
                            isolation=None, meta={}, claim="")  # fmt: skip
        assert (refused.ok, refused.problem) == (False, "no_quorum"), refused
        assert three.register("n2", ["more"])[0]["ok"]
        assert not three.ask("n1", "call", name=min(mine), message={"op": "get"}, timeout_ms=300).ok
        three.lands["n1"].plug()
        until(lambda: three.pids("n1") == three.pids("n2") == three.pids("n3"), "all agree")
        assert len(three.pids("n1")) == len(NAMES) + 1
        until(lambda: sum(three.processes(at) for at in three.lands) == len(NAMES) + 1, "each runs once")
        until(lambda: three.ask("n1", "register", name="again", target="examples.counters:Counter", args=[], kwargs={},
                                isolation=None, meta={}, claim="").ok, "n1 takes names again")  # fmt: skip
