"""Many processes, one after the other or some at once: the state machine of an operation.

Law: pure, and told only what was stored or observed. A step is stored as `asked` before its command leaves, so whoever
takes an operation up half-way asks again under the same claim, and the arbiter answers twice what it did once. A step
is `done` only when the observed row shows its goal; what an agent answers can end it badly, never well. Once cancelled,
nothing new is asked, and what is under way is waited for. An operation has ended when each of its steps has.

    waiting -> asked -> done | failed | gone        asked -> waiting (nothing happened: again)
    waiting -> done | failed | gone | skipped           gone: it ended, or went elsewhere, by itself
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

WAITING, ASKED, DONE, FAILED, GONE, SKIPPED = "waiting", "asked", "done", "failed", "gone", "skipped"
OPEN = frozenset({WAITING, ASKED})
STATES = (WAITING, ASKED, DONE, FAILED, GONE, SKIPPED)

#: (state, what happened) -> state. Anything else changes nothing.
STEPS: Mapping[tuple[str, str], str] = {
    (WAITING, "ask"): ASKED,
    (WAITING, "there"): DONE,
    (WAITING, "vanished"): GONE,
    (WAITING, "elsewhere"): GONE,
    (WAITING, "impossible"): FAILED,
    (WAITING, "cancelled"): SKIPPED,
    (ASKED, "there"): DONE,
    (ASKED, "vanished"): GONE,
    (ASKED, "elsewhere"): GONE,
    (ASKED, "refused"): FAILED,
    (ASKED, "again"): WAITING,
    (ASKED, "late"): FAILED,
}

#: Answers that are nobody's fault in the cluster: asked again as long as it takes.
OUTAGE = frozenset({"broker_unavailable", "database_unavailable"})
#: Answers after which nothing has happened for good, so that the same may be asked again.
AGAIN = OUTAGE | {"no_answer", "no_node", "no_quorum", "unknown_process"}

#: How often a step is asked before it has failed.
MOST_ATTEMPTS = 4
#: Seconds until a step is asked again; grows with its attempts.
BACK_OFF = 0.5
#: Seconds for which a name must be absent before its process counts as ended: a re-homed one is absent for a moment.
VANISHED_AFTER = 5.0
#: Seconds for which a node may be unfit before a step towards it has failed.
UNFIT_AFTER = 3.0
#: Seconds from the agent's yes until the row must show it.
SHOWN_WITHIN = 30.0

MOVE, RESTART = "move", "restart"

#: States of a process that pass soon.
UNSETTLED = frozenset({"starting", "handing_off"})


@dataclass(frozen=True, slots=True)
class Rules:
    """How an operation goes about its steps."""

    goal: str = MOVE
    width: int = 8  #: steps under way at once
    per_minute: float = 0.0  #: steps begun in a minute; 0: as many as there is room for
    strict: bool = False  #: a process that ended before its turn is a failure
    planned: bool = False  #: what went elsewhere by itself before its turn stays there


@dataclass(frozen=True, slots=True)
class Step:
    """One process of an operation, as it is stored."""

    number: int
    sworm: str
    name: str
    source: str = ""  #: the node that it is to leave
    to: str = ""  #: the node wanted; empty: wherever placement wants it
    state: str = WAITING
    attempts: int = 0
    pid: str = ""  #: of the incarnation that was asked to go
    epoch: int = 0  #: of that incarnation
    asked_at: float = 0.0
    ended_at: float = 0.0
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """What the read model says of a name."""

    pid: str
    node: str
    epoch: int
    state: str


# ------------------------------------------------------------------------------------------- events and effects


@dataclass(frozen=True, slots=True)
class Looked:
    """The read model was read: the names that `wanted` asked for (None: not registered), and the nodes that take
    processes.
    """

    facts: Mapping[int, Fact | None]
    takers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Answered:
    """An agent answered an attempt at a step; `code` empty: it says that it is done."""

    number: int
    attempt: int
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody wants no more of it."""


Event = Looked | Answered | Cancelled


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a step's command, under the claim that its attempt has, as often as this is said."""

    step: Step


@dataclass(frozen=True, slots=True)
class Store:
    """A step changed. To be stored before any `Ask` of the same turn leaves."""

    step: Step


@dataclass(frozen=True, slots=True)
class End:
    """The operation is over: `succeeded`, `failed` or `cancelled`."""

    state: str
    code: str = ""
    detail: str = ""


Effect = Ask | Store | End


@dataclass(slots=True)
class _Under:
    """What is remembered of a step besides, and may be forgotten."""

    sent: bool = False
    answered_at: float = 0.0
    absent_since: float = 0.0
    unfit_since: float = 0.0
    not_before: float = 0.0


class Work:
    """One operation under way. Made of its stored steps, whether new or half done."""

    def __init__(self, steps: Iterable[Step], rules: Rules) -> None:
        self.rules = rules
        self.steps = {step.number: step for step in steps}
        self.cancelled = False
        self.ended: End | None = None
        self._counts = Counter(step.state for step in self.steps.values())
        self._open = dict.fromkeys(sorted(n for n, step in self.steps.items() if step.state in OPEN))
        self._under = {number: _Under() for number in self._open}
        self._begun_at = max((step.asked_at for step in self.steps.values()), default=0.0)
        self._out: list[Effect] = []

    # ---------------------------------------------------------------------------------------------------- what stands

    def count(self, *states: str) -> int:
        """How many steps are in one of these states."""
        return sum(self._counts[state] for state in states)

    @property
    def done(self) -> int:
        """Steps that need nothing more."""
        return self.count(DONE) if self.rules.strict else self.count(DONE, GONE)

    def wanted(self) -> list[int]:
        """The steps whose facts matter now: those under way, and those whose turn is next."""
        asked = [number for number in self._open if self.steps[number].state == ASKED]
        waiting = (number for number in self._open if self.steps[number].state == WAITING)
        return [*asked, *(number for number, _ in zip(waiting, range(2 * self.rules.width), strict=False))]

    # ----------------------------------------------------------------------------------------------------------- steps

    def step(self, event: Event, now: float) -> list[Effect]:
        """What is to be done after this event, in this order. `now` in seconds since 1970."""
        if self.ended is None:
            match event:
                case Looked():
                    self._look(event, now)
                case Answered():
                    self._answer(event, now)
                case Cancelled():
                    self._cancel(now)
            self._finish()
        out, self._out = self._out, []
        return out

    def _look(self, seen: Looked, now: float) -> None:
        for number, fact in seen.facts.items():
            if number in self._open:
                self._weigh(self.steps[number], fact, now)
        for number, fact in seen.facts.items():
            if number in self._open and fact is not None:
                self._advance(self.steps[number], fact, seen.takers, now)

    def _weigh(self, step: Step, fact: Fact | None, now: float) -> None:
        """Whether a step has its end, by what is seen."""
        under = self._under[step.number]
        if fact is not None and _reached(step, fact, self.rules.goal):
            self._move(step, "there", now, "", f"runs on {fact.node} as {fact.pid}")
        elif fact is not None and self.rules.planned and self._went_elsewhere(step, fact):
            when = "before its turn" if step.state == WAITING else "when its move was over"
            self._move(step, "elsewhere", now, "", f"it went to {fact.node} {when}, and stays there")
        elif fact is None:
            under.absent_since = under.absent_since or now
            if now - under.absent_since >= VANISHED_AFTER:
                self._move(step, "vanished", now, "unknown_process", "the process ended before its turn was over")
        else:
            under.absent_since = 0.0
            if under.answered_at and now - under.answered_at >= SHOWN_WITHIN:
                self._move(step, "late", now, "no_answer", f"the agent said yes, but it still runs as {fact.pid}")

    def _went_elsewhere(self, step: Step, fact: Fact) -> bool:
        """Whether something else moved a process before its turn, or after the agent said that its move was done."""
        over = step.state == WAITING or (self._under[step.number].answered_at and fact.state not in UNSETTLED)
        return bool(over) and fact.node != step.source

    def _advance(self, step: Step, fact: Fact, takers: frozenset[str], now: float) -> None:
        under = self._under[step.number]
        if step.state == ASKED and not under.sent:  # taken up half-way
            under.sent = True
            self._out.append(Ask(step))
        elif step.state == WAITING and self._unfit(step, under, takers, now):
            pass
        elif self.rules.goal == RESTART and _is_newer(step, fact) and fact.state in UNSETTLED:
            pass  # an attempt that had no answer has restarted it: not once more
        elif step.state == WAITING and now >= under.not_before and self._room(now):
            self._begun_at = now
            asked = replace(step, attempts=step.attempts + 1, pid=fact.pid, epoch=fact.epoch, asked_at=now)
            self._move(asked, "ask", now)
            under.sent, under.answered_at = True, 0.0
            self._out.append(Ask(self.steps[step.number]))

    def _unfit(self, step: Step, under: _Under, takers: frozenset[str], now: float) -> bool:
        """Whether the node wanted takes nothing now; when that lasts, the step has failed."""
        if self.rules.goal != MOVE or not step.to or step.to in takers:
            under.unfit_since = 0.0
            return False
        under.unfit_since = under.unfit_since or now
        if now - under.unfit_since >= UNFIT_AFTER:
            self._move(step, "impossible", now, "no_node", f"{step.to} takes no processes now")
        return True

    def _room(self, now: float) -> bool:
        if self.cancelled or self.count(ASKED) >= self.rules.width:
            return False
        return not self.rules.per_minute or now - self._begun_at >= 60 / self.rules.per_minute

    def _answer(self, answer: Answered, now: float) -> None:
        step = self.steps.get(answer.number)
        if step is None or step.state != ASKED or step.attempts != answer.attempt:
            return  # of an attempt that is over
        under = self._under[step.number]
        if not answer.code:
            under.answered_at = under.answered_at or now
        elif answer.code in AGAIN and (step.attempts < MOST_ATTEMPTS or answer.code in OUTAGE):
            under.not_before = now + BACK_OFF * min(step.attempts, MOST_ATTEMPTS)
            self._move(step, "again", now, answer.code, answer.detail)
            if self.cancelled:
                self._move(self.steps[step.number], "cancelled", now)
        else:
            self._move(step, "refused", now, answer.code, answer.detail)

    def _cancel(self, now: float) -> None:
        self.cancelled = True
        for number in list(self._open):
            self._move(self.steps[number], "cancelled", now, "", "cancelled before its turn")

    def _move(self, step: Step, what: str, now: float, code: str = "", detail: str = "") -> None:
        state = STEPS.get((step.state, what))
        if state is None:
            return
        if state not in OPEN:
            del self._open[step.number]
            del self._under[step.number]
        ended_at = 0.0 if state in OPEN else now
        moved = replace(step, state=state, code=code, detail=detail, ended_at=ended_at)
        self._counts[step.state] -= 1
        self._counts[state] += 1
        self.steps[step.number] = moved
        self._out.append(Store(moved))

    # ------------------------------------------------------------------------------------------------------------- end

    def _finish(self) -> None:
        if self._open:
            return
        bad = self.count(FAILED, GONE) if self.rules.strict else self.count(FAILED)
        if self.count(SKIPPED):
            self.ended = End("cancelled", "", self._sentence())
        elif bad:
            first = next(s for s in self.steps.values() if s.state == FAILED or (s.state == GONE and self.rules.strict))
            detail = first.detail if len(self.steps) == 1 else f"{bad} of {len(self.steps)} failed: {first.detail}"
            self.ended = End("failed", first.code, detail)
        else:
            self.ended = End("succeeded", "", self._sentence())
        self._out.append(self.ended)

    def _sentence(self) -> str:
        """What became of the steps, in words."""
        if len(self.steps) == 1:
            return next(iter(self.steps.values())).detail
        words = {DONE: "done", GONE: "ended or went by themselves", FAILED: "failed", SKIPPED: "not begun"}
        told = [f"{n} {word}" for state, word in words.items() if (n := self.count(state))]
        return ", ".join(told) or "there was nothing to do"


def _is_newer(step: Step, fact: Fact) -> bool:
    """Whether an incarnation began after the one that was asked to go, whatever the agent said of that."""
    return step.attempts > 0 and fact.epoch > step.epoch


def _reached(step: Step, fact: Fact, goal: str) -> bool:
    """Whether what is seen is what was wanted."""
    if goal == RESTART:
        return _is_newer(step, fact) and fact.state == "running"
    settled = fact.state not in UNSETTLED
    return settled and (fact.node == step.to if step.to else fact.node != step.source)
