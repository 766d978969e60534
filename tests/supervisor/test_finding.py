"""`finding`: where a message to a name is sent, by this node's replicas alone."""

from __future__ import annotations

import pytest

from registry.core.ids import pid_of
from registry.core.names import FAILED
from supervisor.errors import NotRegistered, WorkerCrashed
from supervisor.finding import find, locate
from tests.supervisor.town import SWORM, FakeRegistry

PID = pid_of("n1.1", 7)


def test_a_registered_name_is_where_its_best_entry_says() -> None:
    registry = FakeRegistry()
    registry.put("lobby", PID)
    found = find(registry, SWORM, "lobby")
    assert (found.pid, found.origin) == (PID, "n1.1")
    assert locate(registry, (SWORM, "lobby")) == found


def test_an_unknown_name_or_sworm_is_not_registered() -> None:
    registry = FakeRegistry()
    for sworm in (SWORM, "no-such-sworm"):
        with pytest.raises(NotRegistered, match=f"'lobby' is registered in {sworm}"):
            find(registry, sworm, "lobby")
        assert locate(registry, (sworm, "lobby")) is None


def test_what_has_failed_takes_no_message_and_is_still_located() -> None:
    registry = FakeRegistry()
    registry.put("lobby", PID, FAILED)
    with pytest.raises(WorkerCrashed, match="is not restarted"):
        find(registry, SWORM, "lobby")
    located = locate(registry, (SWORM, "lobby"))
    assert located is not None
    assert located.entry.state == FAILED


def test_a_name_of_a_departed_node_is_nowhere_but_known_until_it_is_back() -> None:
    registry = FakeRegistry()
    registry.put("lobby", PID)
    registry.orphan("lobby")
    found = find(registry, SWORM, "lobby")
    assert (found.pid, found.origin) == (PID, "")
    assert locate(registry, (SWORM, "lobby")) is None
    registry.put("lobby", pid_of("n2.1", 1))
    assert find(registry, SWORM, "lobby").origin == "n2.1"
