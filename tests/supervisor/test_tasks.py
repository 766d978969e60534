"""The two actors: what is sent arrives as it was meant, and a batch of reports waits for whoever records it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from supervisor import tasks
from supervisor.broker import GiveBack, MemoryBroker, embedded_worker


class NotNow(Exception):
    """What the recorder of these tests raises while it is away."""


def test_a_command_reaches_only_its_node() -> None:
    broker = MemoryBroker()
    got: list[Any] = []
    tasks.declare_command(broker, "n1", got.append)
    worker = embedded_worker(broker, tasks.node_queue("n1"), look_up_ms=20)
    tasks.send_command(broker, "n2", {"op": "for another"})
    tasks.send_command(broker, "n1", {"op": "ping", "state": b"\xff"})
    broker.join(tasks.node_queue("n1"), timeout=20_000)
    worker.stop(timeout=5_000)
    assert got == [{"op": "ping", "state": b"\xff"}]


def test_reports_say_who_tells_and_can_be_told_apart() -> None:
    broker = MemoryBroker()
    got: list[Any] = []
    tasks.declare_report(broker, got.append)
    worker = embedded_worker(broker, tasks.OBSERVER_QUEUE, look_up_ms=20)
    for number in range(2):
        tasks.send_report(broker, f"batch {number}", "n1", 17, [{"kind": "started", "at": 1.5, "epoch": number}])
    broker.join(tasks.OBSERVER_QUEUE, timeout=20_000)
    worker.stop(timeout=5_000)
    assert [batch["reports"][0]["epoch"] for batch in got] == [0, 1]
    assert {(batch["v"], batch["node"], batch["incarnation"]) for batch in got} == {(1, "n1", 17)}
    assert [batch["id"] for batch in got] == ["batch 0", "batch 1"]


def test_a_batch_waits_until_it_can_be_recorded() -> None:
    got: list[Any] = []

    def record(batch: dict[str, Any]) -> None:
        got.append(batch)
        if len(got) < 3:
            raise NotNow("no database")

    tasks.ReportActor(record, (NotNow,))({"id": "a"})
    assert got == [{"id": "a"}] * 3


def test_a_batch_that_can_never_be_recorded_is_not_tried_again() -> None:
    def record(batch: dict[str, Any]) -> None:
        raise KeyError("kind")

    with pytest.raises(KeyError):
        tasks.ReportActor(record, (NotNow,))({"id": "a"})


@pytest.mark.parametrize("batch", [1, None, [], "text", b"bytes"])
def test_what_is_no_batch_is_dropped(batch: Any, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []
    tasks.ReportActor(told.append, ())(batch)
    assert told == []
    assert "must be an object" in caplog.text


def test_a_waiting_batch_goes_back_when_told_to_stop() -> None:
    tried = threading.Event()

    def record(batch: dict[str, Any]) -> None:
        tried.set()
        raise NotNow("no database")

    actor = tasks.ReportActor(record, (NotNow,))

    def stop_once_tried() -> None:
        tried.wait(20)
        actor.stop()

    threading.Thread(target=stop_once_tried, daemon=True).start()
    with pytest.raises(GiveBack):
        actor({"id": "a"})
