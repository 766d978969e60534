"""The gate against its table and a dumb reference: a parked message is let through, bounced or refused once and in
order.

Named invariant: parked-once.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.gate import BOUNCED, FROZEN, OPEN, SHUT, TABLE, Gate, IllegalStep
from tests.laws import law

VERBS = ("open", "freeze", "bounce")


def act(gate: Gate[int], verb: str) -> list[int]:
    if verb == "open":
        return gate.open()
    if verb == "bounce":
        return gate.bounce("n2.1.7")
    gate.freeze()
    return []


@law(80)
@given(st.lists(st.sampled_from([*VERBS, "park", "park"]), max_size=14))
def test_parked_once_and_in_order(script: list[str]) -> None:
    gate, state = Gate[int](), SHUT
    waiting: list[int] = []
    for number, verb in enumerate(script):
        if verb == "park":
            parked = gate.park(number)
            assert parked == (state in (SHUT, FROZEN))
            waiting += [number] if parked else []
        elif (state, verb) not in TABLE:
            with pytest.raises(IllegalStep):
                act(gate, verb)
        else:
            state = TABLE[state, verb]
            released = act(gate, verb)
            assert released == ([] if verb == "freeze" else waiting)
            waiting = waiting if verb == "freeze" else []
        assert gate.state == state
        assert gate.is_open == (state == OPEN)
        assert list(gate.parked) == waiting


def test_an_illegal_step_changes_nothing() -> None:
    gate = Gate[str]()
    gate.park("early")
    gate.bounce("n2.1.7")
    with pytest.raises(IllegalStep, match="a gate that is bounced cannot open"):
        gate.open()
    assert (gate.state, gate.moved_to) == (BOUNCED, "n2.1.7")


def test_bounced_is_final() -> None:
    assert all(before != BOUNCED for before, _ in TABLE)
