"""/healthz, /readyz, /metrics."""

from __future__ import annotations

import pytest
from django.test import Client, override_settings

from tests.supervisor.agents import add_node, add_process, observer_writes

pytestmark = pytest.mark.django_db


def test_healthz_says_that_the_process_answers() -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readyz_names_what_is_missing() -> None:
    assert Client().get("/readyz").json()["checks"]["observer"] == "has never written"
    observer_writes(seconds_ago=60)
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()["checks"]["observer"].startswith("last wrote 6")
    observer_writes()
    answer = Client().get("/readyz")
    assert (answer.status_code, set(answer.json()["checks"].values())) == (200, {"ok"})
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["broker"]) == (503, "does not answer")


def test_metrics_tell_the_cluster_and_the_requests() -> None:
    observer_writes()
    add_node("n1")
    add_process("rooms", "lobby")
    Client().get("/api/v1/sworms")
    text = Client().get("/metrics").content.decode()
    for line in (
        'sworm_processes{state="running",sworm="rooms"} 1.0', 'sworm_nodes{status="alive"} 1.0', "sworm_revision 2.0",
        "sworm_database_up 1.0", "sworm_observer_age_seconds ", 'route="api/v1/sworms",status="401"',
    ):  # fmt: skip
        assert line in text
