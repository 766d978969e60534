"""The state machine of operations: its table, and what holds whatever happens to whom and when.

Law: the world that the property test plays is cruel but honest: agents answer late, twice, or never, the read model
lags, whoever drives the machine dies and is replaced by one that knows what was stored. The oracles are the promises.

Named invariants: operation-ends, operation-keeps-pace, cancel-stops, moved-once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.operation import (
    ASKED,
    DONE,
    FAILED,
    GONE,
    MOST_ATTEMPTS,
    MOVE,
    OPEN,
    RESTART,
    SKIPPED,
    STATES,
    STEPS,
    UNFIT_AFTER,
    VANISHED_AFTER,
    WAITING,
    Answered,
    Ask,
    Cancelled,
    Effect,
    End,
    Fact,
    Looked,
    Rules,
    Step,
    Store,
    Work,
)

ALL = frozenset({"n1", "n2", "n3"})
T = 1_000_000.0


def steps(count: int, to: str = "n2") -> list[Step]:
    return [Step(number, "rooms", f"r{number}", "n1", to) for number in range(count)]


def here(node: str = "n1", epoch: int = 1, state: str = "running") -> Fact:
    return Fact(f"{node}.1.{epoch}", node, epoch, state)


def look(work: Work, now: float, takers: frozenset[str] = ALL, **facts: Fact | None) -> list[Effect]:
    found = {number: facts.get(f"r{number}", here()) for number in work.wanted()}
    return work.step(Looked(found, takers), now)


def asks(effects: list[Effect]) -> list[Step]:
    return [effect.step for effect in effects if isinstance(effect, Ask)]


def state(work: Work, number: int = 0) -> str:
    return work.steps[number].state


def test_ended_states_have_no_way_out() -> None:
    assert {before for before, _ in STEPS} == OPEN
    assert set(STEPS.values()) == set(STATES)


def test_a_move_is_asked_then_seen() -> None:
    work = Work(steps(1), Rules())
    first = look(work, T)
    assert [type(effect) for effect in first] == [Store, Ask]
    assert asks(first) == [work.steps[0]]
    assert (work.steps[0].pid, work.steps[0].epoch, work.steps[0].attempts) == ("n1.1.1", 1, 1)
    assert work.step(Answered(0, 1), T + 1) == []
    assert look(work, T + 1) == []
    assert look(work, T + 2, r0=here("n2", 2, "starting")) == []
    last = look(work, T + 3, r0=here("n2", 2))
    assert last[-1] == End("succeeded", "", "runs on n2 as n2.1.2")
    assert state(work) == DONE


def test_an_operation_without_steps_has_succeeded() -> None:
    assert look(Work([], Rules()), T) == [End("succeeded", "", "there was nothing to do")]


def test_what_is_there_already_is_never_asked() -> None:
    work = Work(steps(1), Rules())
    assert asks(look(work, T, r0=here("n2"))) == []
    assert work.ended == End("succeeded", "", "runs on n2 as n2.1.1")


def test_no_more_at_once_than_its_width_and_no_faster_than_its_rate() -> None:
    wide = Work(steps(9), Rules(width=4))
    assert len(asks(look(wide, T))) == 4
    assert asks(look(wide, T + 1)) == []
    slow = Work(steps(9), Rules(per_minute=30))
    assert [len(asks(look(slow, T + second))) for second in range(5)] == [1, 0, 1, 0, 1]
    again = Work(slow.steps.values(), slow.rules)
    assert [ask.number for ask in asks(look(again, T + 5))] == [0, 1, 2]  # those under way; no fourth yet


def test_a_refusal_ends_a_step_and_silence_does_not() -> None:
    work = Work(steps(2), Rules())
    look(work, T)
    work.step(Answered(0, 1, "refused", "it would not freeze"), T)
    work.step(Answered(1, 1, "no_answer", "silence"), T)
    assert (state(work, 0), state(work, 1)) == (FAILED, WAITING)
    assert asks(look(work, T)) == []
    assert [ask.attempts for ask in asks(look(work, T + 5))] == [2]
    look(work, T + 6, r1=here("n2", 2))
    assert work.ended == End("failed", "refused", "1 of 2 failed: it would not freeze")


def test_it_is_not_asked_for_ever() -> None:
    work = Work(steps(1), Rules())
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert len(asks(look(work, T + 10 * attempt))) == 1
        work.step(Answered(0, attempt, "no_answer", "silence"), T + 10 * attempt)
    assert work.ended == End("failed", "no_answer", "silence")


def test_an_outage_of_the_broker_is_waited_out() -> None:
    work = Work(steps(1), Rules())
    for attempt in range(1, 20):
        assert len(asks(look(work, T + 10 * attempt))) == 1
        work.step(Answered(0, attempt, "broker_unavailable", "away"), T + 10 * attempt)
    assert state(work) == WAITING


def test_an_answer_that_comes_twice_or_late_changes_nothing() -> None:
    work = Work(steps(1), Rules())
    look(work, T)
    work.step(Answered(0, 1, "no_answer"), T)
    assert work.step(Answered(0, 1, "refused"), T) == []
    look(work, T + 9)
    assert work.step(Answered(0, 1, "refused"), T + 9) == []
    assert state(work) == ASKED


@pytest.mark.parametrize(("strict", "end"), [(False, "succeeded"), (True, "failed")])
def test_a_process_that_ends_by_itself(strict: bool, end: str) -> None:
    work = Work(steps(1), Rules(strict=strict))
    look(work, T, r0=None)
    look(work, T + 1, r0=None)
    assert state(work) == WAITING
    look(work, T + VANISHED_AFTER, r0=None)
    assert state(work) == GONE
    assert work.ended is not None
    assert work.ended.state == end


def test_a_process_that_is_absent_for_a_moment_was_re_homed() -> None:
    work = Work(steps(1), Rules())
    look(work, T, r0=None)
    look(work, T + VANISHED_AFTER - 1, r0=here("n3", 2))
    look(work, T + VANISHED_AFTER, r0=None)
    assert state(work) == ASKED


def test_a_node_that_takes_nothing_ends_the_steps_towards_it() -> None:
    work = Work(steps(1), Rules())
    assert asks(look(work, T, takers=frozenset({"n1"}))) == []
    look(work, T + UNFIT_AFTER, takers=frozenset({"n1"}))
    assert work.ended == End("failed", "no_node", "n2 takes no processes now")


def test_cancelling_lets_what_is_under_way_finish() -> None:
    work = Work(steps(4), Rules(width=2))
    look(work, T)
    work.step(Cancelled(), T)
    assert [state(work, number) for number in range(4)] == [ASKED, ASKED, SKIPPED, SKIPPED]
    assert work.ended is None
    work.step(Answered(0, 1, "no_answer"), T)
    assert state(work, 0) == SKIPPED  # it is not asked again
    look(work, T, r1=here("n2", 2))
    assert work.ended == End("cancelled", "", "1 done, 3 not begun")


def test_a_cancel_that_comes_too_late_is_no_cancel() -> None:
    work = Work(steps(1), Rules())
    look(work, T)
    work.step(Cancelled(), T)
    look(work, T, r0=here("n2", 2))
    assert work.ended is not None
    assert work.ended.state == "succeeded"


def test_a_restart_is_a_newer_incarnation_that_runs() -> None:
    work = Work(steps(1, to=""), Rules(goal=RESTART))
    look(work, T)
    look(work, T, r0=here("n1", 2, "starting"))
    assert state(work) == ASKED
    look(work, T, r0=here("n1", 2))
    assert state(work) == DONE


def test_a_planned_move_after_which_the_process_went_on_is_over() -> None:
    work = Work(steps(1), Rules(planned=True))
    look(work, T)
    look(work, T + 1, r0=here("n3", 3))
    assert state(work) == ASKED  # the command may be under way
    work.step(Answered(0, 1), T + 2)
    look(work, T + 3, r0=here("n3", 3))
    assert (state(work), work.ended) == (
        GONE,
        End("succeeded", "", "it went to n3 when its move was over, and stays there"),
    )


def test_a_restart_that_took_place_without_a_yes_is_not_asked_for_again() -> None:
    work = Work(steps(1, to=""), Rules(goal=RESTART))
    look(work, T)
    work.step(Answered(0, 1, "unknown_process", "another incarnation"), T)
    assert state(work) == WAITING
    assert asks(look(work, T + 5, r0=here("n1", 2, "starting"))) == []
    look(work, T + 6, r0=here("n1", 2))
    assert state(work) == DONE


# ------------------------------------------------------------------------------------------------ whatever may happen


@dataclass
class World:
    """A cluster that moves processes, agents that answer badly, and a store."""

    random: Random
    rules: Rules
    now: float = T
    stored: dict[int, Step] = field(default_factory=dict)
    truth: dict[str, Fact] = field(default_factory=dict)
    shown: dict[str, Fact] = field(default_factory=dict)
    sent: list[Step] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    moved: Counter[tuple[str, str]] = field(default_factory=Counter)  #: (name, pid that went)
    begun: list[float] = field(default_factory=list)
    cancelled: bool = False
    end: End | None = None

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Store(step):
                    before = self.stored[step.number]
                    assert before.state in OPEN
                    if step.state == ASKED:
                        assert not self.cancelled
                        again = self.rules.goal == RESTART and before.attempts
                        assert not again or step.epoch <= before.epoch, "a step restarts its process once"
                        self.begun.append(self.now)
                    self.stored[step.number] = step
                case Ask(step):
                    assert self.stored[step.number] == step, "stored before it leaves"
                    self.sent.append(step)
                case End():
                    assert self.end is None
                    self.end = effect
        assert sum(step.state == ASKED for step in self.stored.values()) <= self.rules.width

    def obey(self, step: Step) -> None:
        """An agent gets a command, perhaps again, perhaps late."""
        fact, random = self.truth.get(step.name), self.random
        if fact is None or fact.pid != step.pid:
            self.answers.append(Answered(step.number, step.attempts, "unknown_process", "another incarnation"))
        elif random.random() < 0.2:
            self.answers.append(Answered(step.number, step.attempts, random.choice(["refused", "no_node"]), "no"))
        else:
            self.moved[step.name, fact.pid] += 1
            node = fact.node if self.rules.goal == RESTART else step.to or "n3"
            self.truth[step.name] = here(node, fact.epoch + 1)
            if random.random() < 0.8:
                self.answers.append(Answered(step.number, step.attempts))

    def happen(self, work: Work) -> Work:
        random = self.random
        self.now += random.choice([0.0, 0.1, 1.0, 3.0])
        match random.randrange(9):
            case 0 if self.sent:
                self.obey(self.sent.pop(random.randrange(len(self.sent))))
            case 1 if self.sent:
                self.obey(random.choice(self.sent))  # the broker delivers it again later
            case 2 if self.answers:
                self.carry_out(work.step(random.choice(self.answers), self.now))
            case 3 if self.sent:
                lost = self.sent.pop(random.randrange(len(self.sent)))
                self.answers.append(Answered(lost.number, lost.attempts, "no_answer", "silence"))
            case 4:
                return self.taken_over()
            case 5 if self.truth and random.random() < 0.2:
                self.truth.pop(random.choice(sorted(self.truth)))
            case 6 if self.truth:
                name = random.choice(sorted(self.truth))
                fact = self.truth[name]
                self.truth[name] = here(fact.node, fact.epoch + 1)  # it crashed and was restarted
            case _:
                self.shown = dict(self.truth)
        self.look(work)
        return work

    def taken_over(self) -> Work:
        """Whoever drives it died; another goes by what was stored, and by the wish to cancel, which is stored too."""
        work = Work(self.stored.values(), self.rules)
        if self.cancelled:
            self.carry_out(work.step(Cancelled(), self.now))
        return work

    def look(self, work: Work) -> None:
        facts = {number: self.shown.get(work.steps[number].name) for number in work.wanted()}
        self.carry_out(work.step(Looked(facts, ALL), self.now))


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 6),
    width=st.integers(1, 3),
    rate=st.sampled_from([0.0, 30.0]),
    strict=st.booleans(),
    planned=st.booleans(),
    to=st.sampled_from(["n2", ""]),
    goal=st.sampled_from([MOVE, RESTART]),
    cancel_at=st.integers(0, 200),
)
def test_whatever_happens(
    seed: int, count: int, width: int, rate: float, strict: bool, planned: bool, to: str, goal: str, cancel_at: int
) -> None:
    rules = Rules(goal, width, rate, strict, planned)
    world = World(Random(seed), rules)
    world.stored = {step.number: step for step in steps(count, to)}
    world.truth = {step.name: here() for step in world.stored.values()}
    work = Work(world.stored.values(), rules)
    world.shown = dict(world.truth)
    for turn in range(120):
        if turn == cancel_at:
            world.cancelled = True
            world.carry_out(work.step(Cancelled(), world.now))
        if world.end is None:
            work = world.happen(work)
    while world.end is None:  # peace: everything is delivered, everything is shown
        world.now += 3.0
        sent, world.sent = world.sent, []
        for step in sent:
            world.obey(step)
        for answer in world.answers:
            world.carry_out(work.step(answer, world.now))
        world.answers, world.shown = [], dict(world.truth)
        # An answer lost for good is silence at its deadline.
        for step in list(world.stored.values()):
            if step.state == ASKED and not world.sent:
                world.carry_out(work.step(Answered(step.number, step.attempts, "no_answer", "silence"), world.now))
        world.look(work)
    end = world.end
    states = Counter(step.state for step in world.stored.values())
    assert set(states) <= {DONE, FAILED, GONE, SKIPPED}
    assert (end.state == "cancelled") == (states[SKIPPED] > 0)
    assert states[SKIPPED] == 0 or world.cancelled
    if end.state == "succeeded":
        for step in world.stored.values():
            shown = world.shown.get(step.name)
            gone = step.state == GONE and not strict
            there = shown is None or (shown.node == step.to if to else shown.node != "n1")
            assert gone or there or (goal == RESTART and shown is not None and shown.epoch > step.epoch)
    assert max(world.moved.values(), default=0) <= 1, "an incarnation goes once"
    if rate:
        pauses = [later - sooner for sooner, later in zip(world.begun, world.begun[1:], strict=False)]
        assert min(pauses, default=60 / rate) >= 60 / rate
    assert work.step(Cancelled(), world.now) == []
