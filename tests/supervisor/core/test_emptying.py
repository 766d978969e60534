"""A drain, watched: when the node is asked, when a wish to cancel may leave, and how it ends.

Named invariants: operation-ends, cancel-stops.
"""

from __future__ import annotations

import pytest

from supervisor.core.emptying import (
    ASK_AGAIN,
    CANCEL,
    DRAIN,
    LEFT_BEHIND,
    ON_ITS_WAY,
    PATIENCE,
    SAY_WITHIN,
    Answered,
    Ask,
    Effect,
    Emptying,
    Remark,
    Seen,
)
from supervisor.core.operation import DONE, FAILED, GONE, Cancelled, End, Fact, Step

T = 1_000_000.0
CATS, DOGS = ("rooms", "cats"), ("rooms", "dogs")


def emptying() -> Emptying:
    return Emptying("n1", T + 30, [Step(0, *CATS, "n1"), Step(1, *DOGS, "n1")], T)


def see(
    machine: Emptying,
    now: float,
    status: str,
    *left: tuple[str, str],
    said: bool = False,
    lost: tuple[tuple[str, str], ...] = (),
) -> list[Effect]:
    facts = {number: Fact("n2.1.1", "n2", 2, "running") for number in machine.away(frozenset(left))}
    return machine.step(Seen(status, frozenset(left), facts, said, frozenset(lost)), now)


def test_a_node_is_asked_once_and_has_left_when_it_said_so() -> None:
    machine = emptying()
    assert see(machine, T, "alive", CATS, DOGS) == [Ask(DRAIN, 30.0)]
    assert see(machine, T + 1, "alive", CATS, DOGS) == []
    machine.step(Answered(DRAIN), T + 1)
    see(machine, T + 2, "draining", DOGS)
    assert (machine.steps[0].state, machine.done) == (DONE, 1)
    see(machine, T + 3, "left")
    assert machine.ended is None
    assert see(machine, T + 4, "left", said=True)[-1] == End("succeeded", "", "n1 left without a process")
    assert machine.step(Cancelled(), T + 5) == []


def test_what_the_node_could_not_hand_over_has_failed_whatever_it_looked_like() -> None:
    machine = emptying()
    see(machine, T, "draining", DOGS)
    effects = see(machine, T + 1, "left", said=True, lost=(CATS,))
    assert (machine.steps[0].state, machine.steps[0].code, machine.steps[1].state) == (FAILED, LEFT_BEHIND, DONE)
    assert isinstance(effects[-1], End)
    assert (effects[-1].state, effects[-1].code) == ("failed", LEFT_BEHIND)


def test_silence_is_asked_again_and_a_refusal_ends_it() -> None:
    machine = emptying()
    see(machine, T, "alive", CATS)
    machine.step(Answered(DRAIN, "no_answer", "silence"), T + 5)
    assert see(machine, T + 5, "alive", CATS) == []
    assert see(machine, T + 5 + ASK_AGAIN, "alive", CATS) == [Ask(DRAIN, 30.0 - 5 - ASK_AGAIN)]
    machine.step(Answered(DRAIN, "refused", "no"), T + 7)
    assert see(machine, T + 7, "alive", CATS) == [End("failed", "refused", "no")]


@pytest.mark.parametrize(
    ("status", "left", "after", "code"),
    [
        ("left", (), SAY_WITHIN, "no_answer"),
        ("dead", (CATS,), 0.0, "refused"),
        ("", (CATS,), 30 + PATIENCE, "no_answer"),
    ],
)
def test_a_node_that_goes_otherwise_has_not_drained(
    status: str, left: tuple[tuple[str, str], ...], after: float, code: str
) -> None:
    machine = emptying()
    see(machine, T, status, *left)
    see(machine, T + after + 1, status, *left)
    assert machine.ended is not None
    assert (machine.ended.state, machine.ended.code) == ("failed", code)


def test_what_is_registered_nowhere_is_gone() -> None:
    machine = emptying()
    machine.step(Seen("draining", frozenset({DOGS}), {0: None}, False, frozenset()), T)
    assert machine.steps[0].state == GONE


def test_a_cancel_waits_for_the_answer_to_the_drain() -> None:
    machine = emptying()
    see(machine, T, "alive", CATS)
    machine.step(Cancelled(), T + 1)
    assert see(machine, T + 1, "alive", CATS) == []
    machine.step(Answered(DRAIN), T + 2)
    assert see(machine, T + 2, "alive", CATS) == [Ask(CANCEL)]
    assert see(machine, T + 3, "draining", CATS) == []
    machine.step(Answered(CANCEL), T + 3)
    assert see(machine, T + 3, "draining", CATS)[-1].state == "cancelled"  # type: ignore[union-attr]


def test_who_takes_a_cancelled_drain_up_asks_for_its_end_only() -> None:
    machine = emptying()
    machine.step(Cancelled(), T)
    assert see(machine, T, "draining", CATS, DOGS) == [Ask(CANCEL)]
    early = emptying()
    early.step(Cancelled(), T)
    assert see(early, T + 1, "alive", CATS, DOGS) == []  # a command of whoever drove it before may be on its way
    assert see(early, T + ON_ITS_WAY, "alive", CATS, DOGS) == [Ask(CANCEL)]


def test_a_cancel_without_an_answer_is_sent_again_and_a_refused_one_is_remarked() -> None:
    machine = emptying()
    machine.step(Cancelled(), T)
    see(machine, T, "draining", CATS, DOGS)
    machine.step(Answered(CANCEL, "no_answer", "silence"), T + 5)
    assert see(machine, T + 5, "draining", CATS, DOGS) == [Ask(CANCEL)]
    assert machine.step(Answered(CANCEL, "refused", "n1 leaves already"), T + 6) == [
        Remark("it goes on: n1 leaves already")
    ]
    assert not any(isinstance(effect, Ask) for effect in see(machine, T + 7, "draining"))
    assert see(machine, T + 8, "left", said=True)[-1].state == "succeeded"  # type: ignore[union-attr]
