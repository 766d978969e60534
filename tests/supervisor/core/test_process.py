"""The phases of a process: only what the table allows, and what the registry shows of each."""

from __future__ import annotations

import pytest

from registry.core.messages import Order
from registry.core.names import MOVED, STATES
from supervisor.core.process import ENDED, LISTED, MOVED_PHASE, SHOWN, STARTING, TABLE, IllegalPhase, Move, Process
from tests.laws import SPEC


def process(phase: str = STARTING) -> Process:
    return Process(3, "n1.1.3", "rooms", "lobby", SPEC, 7, "c", 1, 0, phase)


@pytest.mark.parametrize("before", TABLE)
def test_a_phase_changes_only_through_the_table(before: str) -> None:
    for after in TABLE:
        one = process(before)
        if after in TABLE[before]:
            one.enter(after)
            assert one.phase == after
        else:
            with pytest.raises(IllegalPhase, match=f"{before} -> {after}"):
                one.enter(after)
            assert one.phase == before


def test_every_phase_leads_to_the_end_and_nothing_leads_on_from_there() -> None:
    reached = {ENDED}
    while more := {phase for phase in TABLE if TABLE[phase] & reached} - reached:
        reached |= more
    assert reached == set(TABLE)
    assert not TABLE[ENDED]


def test_every_phase_can_be_come_to() -> None:
    from_others = {after for follow in TABLE.values() for after in follow}
    assert set(TABLE) - from_others == {STARTING}


def test_what_is_shown_is_a_state_that_people_know() -> None:
    assert set(SHOWN.values()) <= set(STATES)
    assert {"preparing", "prepared", "ended"} == set(TABLE) - LISTED


def test_only_a_committed_move_says_where_it_goes() -> None:
    order = Order("o", 1, "move", "rooms", "lobby", None, 9, "n1.1.3", b"", 0, 1, "n2.1")
    for phase in LISTED:
        one = process(phase)
        one.move = Move(9, "n2.1", 1, order, 0.0)
        assert (one.entry().to == "n2.1") == (phase == MOVED_PHASE)
        assert (one.entry().state == MOVED) == (phase == MOVED_PHASE)
