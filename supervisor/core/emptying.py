"""A node that empties itself, watched: the state machine of a drain as somebody's operation.

Law: pure, and told only what was observed, answered or wished. The node does the work: it is asked once for each taking
up, while it takes processes. The drain has succeeded when the node said itself that everything was handed over, left,
and nothing of that incarnation is registered any more; otherwise it failed, and the steps name what went on without its
state. A wish to cancel is sent once the node is known to drain, or no command to do so can be on its way any more; it
is obeyed as long as the node has not begun to leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from supervisor.core.operation import AGAIN, DONE, FAILED, GONE, OPEN, Cancelled, End, Fact, Step, Store

#: What a node says of each process that it could not hand over.
LEFT_BEHIND = "left_behind"
#: Seconds beyond the drain's own deadline until its node must have left.
PATIENCE = 20.0
#: Seconds from the leave of a node until its last word must be there: it comes another way than the rows.
SAY_WITHIN = 10.0
#: Seconds until a node that did not answer is asked again.
ASK_AGAIN = 1.0
#: Seconds for which a command may be on its way: a node obeys none that is older.
ON_ITS_WAY = 5.0

DRAIN, CANCEL = "drain", "cancel"

Key = tuple[str, str]  # (sworm, name)


@dataclass(frozen=True, slots=True)
class Seen:
    """The read model was read."""

    status: (
        str  #: of the incarnation: alive, suspect, draining, left, dead; empty: the node is another one, or forgotten
    )
    left: frozenset[Key]  #: what is registered there
    facts: Mapping[int, Fact | None]  #: of the steps that `away` named for `left`
    said: bool  #: the node said that its drain has ended
    lost: frozenset[Key]  #: what it said that it could not hand over


@dataclass(frozen=True, slots=True)
class Answered:
    """The node answered a command (`what`: drain or cancel), or nobody did; `code` empty: it obeys."""

    what: str
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """Send the node a command: to drain within `seconds`, or to cancel that. Nothing has to be stored before."""

    what: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Remark:
    """Say this in the operation."""

    text: str


Event = Seen | Answered | Cancelled
Effect = Ask | Remark | Store | End


class Emptying:
    """One drain, watched. Made of its stored steps, whether new or half done."""

    def __init__(self, node: str, deadline: float, steps: Iterable[Step], now: float) -> None:
        """`deadline`: until when the node shall have handed everything over, seconds since 1970; `now` likewise."""
        self.node = node
        self.deadline = deadline
        self.steps = {step.number: step for step in steps}
        self.cancelled = False  #: somebody wants no more of it
        self.ended: End | None = None
        self._open = {(step.sworm, step.name): step for step in self.steps.values() if step.state in OPEN}
        self._quiet_at = now + ON_ITS_WAY  #: by then no command of whoever drove it before is on its way
        self._ask_at = 0.0
        self._asked = False
        self._obeys = False  #: the node said that it drains
        self._cancelling = False
        self._kept = False  #: the node said that it drains no more
        self._refusal: Answered | None = None
        self._left_at = 0.0
        self._out: list[Effect] = []

    @property
    def done(self) -> int:
        """Steps that need nothing more."""
        return len(self.steps) - len(self._open)

    def away(self, left: frozenset[Key]) -> list[int]:
        """The steps of what is not registered on the node any more."""
        return [step.number for key, step in self._open.items() if key not in left]

    def step(self, event: Event, now: float) -> list[Effect]:
        """What is to be done after this event, in this order. `now` in seconds since 1970."""
        if self.ended is None:
            match event:
                case Seen():
                    self._look(event, now)
                case Answered():
                    self._answer(event, now)
                case Cancelled():
                    self.cancelled = True
        out, self._out = self._out, []
        return out

    # -------------------------------------------------------------------------------------------------------- looking

    def _look(self, seen: Seen, now: float) -> None:
        for number in self.away(seen.left):
            self._store(_away(self.steps[number], seen.facts.get(number), now))
        self.ended = self._end(seen, now)
        if self.ended is None:
            self._ask(seen.status, now)
            return
        if self.ended.code == LEFT_BEHIND:
            self._without_state(seen.lost, now)
        self._out.append(self.ended)

    def _ask(self, status: str, now: float) -> None:
        there = status in ("alive", "suspect", "draining")
        drains = self._obeys or status == "draining"
        if self.cancelled and there and not self._cancelling and not self._asked_in_vain(drains, now):
            self._cancelling = True
            self._out.append(Ask(CANCEL))
        elif not self.cancelled and not self._asked and status in ("alive", "suspect") and now >= self._ask_at:
            self._asked = True
            self._out.append(Ask(DRAIN, max(1.0, self.deadline - now)))

    def _asked_in_vain(self, drains: bool, now: float) -> bool:
        """Whether a command to drain may reach the node after the wish to cancel it."""
        return not drains and (self._asked or now < self._quiet_at)

    def _without_state(self, lost: frozenset[Key], now: float) -> None:
        """What the node itself named as not handed over, whatever it looked like before."""
        detail = "it could not be handed over and went on without its state"
        for step in list(self.steps.values()):
            if (step.sworm, step.name) in lost:
                self._store(replace(step, state=FAILED, ended_at=now, code=LEFT_BEHIND, detail=detail))

    def _store(self, step: Step) -> None:
        self._open.pop((step.sworm, step.name), None)
        self.steps[step.number] = step
        self._out.append(Store(step))

    def _end(self, seen: Seen, now: float) -> End | None:
        still = f"{len(seen.left)} processes had not moved"
        if self._kept:
            return End("cancelled", "", f"{self.node} takes processes again; what it still ran stays there")
        if seen.status in ("", "left") and not seen.left:
            return self._last_word(seen, now)
        if seen.status == "dead":
            return End("failed", "refused", f"{self.node} died while it drained; {still}")
        if self._refusal is not None:
            return End("failed", self._refusal.code, self._refusal.detail)
        if now > self.deadline + PATIENCE:
            return End("failed", "no_answer", f"{self.node} has not left in time; {still}")
        return None

    def _last_word(self, seen: Seen, now: float) -> End | None:
        """The node is gone and nothing of it is registered: how that came about, it said itself."""
        self._left_at = self._left_at or now
        if seen.said and not seen.lost:
            return End("succeeded", "", f"{self.node} left without a process")
        if seen.said:
            detail = f"{len(seen.lost)} processes could not be handed over and start without their state"
            return End("failed", LEFT_BEHIND, detail)
        if now > self._left_at + SAY_WITHIN:
            return End("failed", "no_answer", f"{self.node} is gone and did not say that everything was handed over")
        return None

    # -------------------------------------------------------------------------------------------------------- answers

    def _answer(self, answer: Answered, now: float) -> None:
        if answer.what == DRAIN:
            self._obeys = not answer.code
            if answer.code in AGAIN:
                self._ask_at, self._asked, self._quiet_at = now + ASK_AGAIN, False, now + ON_ITS_WAY
            elif answer.code:
                self._refusal = answer
        elif not answer.code:
            self._kept = True
        elif answer.code in AGAIN:
            self._cancelling = False
        else:
            self._out.append(Remark(f"it goes on: {answer.detail}"))


def _away(step: Step, fact: Fact | None, now: float) -> Step:
    if fact is None:
        return replace(step, state=GONE, ended_at=now, code="unknown_process", detail="it is registered no more")
    return replace(step, state=DONE, ended_at=now, detail=f"runs on {fact.node} as {fact.pid}")
