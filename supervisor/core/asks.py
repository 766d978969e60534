"""The caller's side of a claim: it asks the name's arbiter until there is an answer, and answers its own caller once.

Law: every ask ends in exactly one `Reply`, at its deadline at the latest. An answer is passed on only when this node's
own copy holds what it speaks of (so that the caller reads its own write and one more node has the entry), or, for an
entry of this node, when one other live node has acknowledged it. A claim is asked again with the same id; the arbiter
answers it once.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, field, replace

from registry.core.ids import Origin, origin_of_pid
from registry.core.member import FOREVER
from registry.core.messages import Ack, Claim, Delta, Verdict
from supervisor.core.context import Context
from supervisor.core.events import Asked, Reply
from supervisor.core.naming import JOIN, LEAVE

RETRY_DELAY = 0.02  #: seconds before a claim that was told to retry is sent again

RESTART, MOVE = "restart", "move"  # what is done to a process, whichever of its names is given


@dataclass(slots=True, eq=False)
class Ask:
    """One wish that has not been answered."""

    asked: Asked
    requests: list[str] = field(default_factory=list)
    sent_to: Origin = ""
    resend_at: float = 0.0
    verdict: Verdict | None = None


class Asks:
    """The open asks of one node."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.open: dict[str, Ask] = {}  #: by claim id
        self.check_at = FOREVER  #: no ask is due before
        self._turn = 0
        self.merging: dict[tuple[str, Origin], list[Ask]] = {}  #: answered, until the copy has reached the version

    def ask(self, asked: Asked) -> None:
        """Take on a wish; a wish with a claim id that is open already joins it."""
        known = self.open.get(asked.claim)
        if known is not None:
            known.requests.append(asked.request)
            return
        ask = self.open[asked.claim] = Ask(asked, [asked.request])
        self._route(ask)

    def _route(self, ask: Ask) -> None:
        context, asked = self.context, ask.asked
        definition = context.definitions.get(asked.sworm)
        if definition is None:
            detail = f"no sworm {asked.sworm!r} is defined here"
            self._finish(ask, Verdict(asked.claim, "refused", "", 0, "", 0, "unknown_sworm", detail))
            return
        if asked.kind in (RESTART, MOVE):
            asked = ask.asked = self._by_own_name(asked)
        arbiter = self._decider(asked)
        if asked.kind in (JOIN, LEAVE) and asked.pid and self._is_unknown(arbiter):
            detail = f"no process {asked.pid} runs in {asked.sworm}"
            self._finish(ask, Verdict(asked.claim, "not_registered", "", 0, "", 0, "", detail))
            return
        ask.resend_at = context.now + context.config.resend
        ask.sent_to = arbiter
        self._check_by(ask)
        if not arbiter:
            if context.member.ready:
                self._finish(
                    ask,
                    Verdict(asked.claim, "refused", "", 0, "", 0, "no_node", f"no node that is up hosts {asked.sworm}"),
                )
            return
        known = context.replica(asked.sworm).highest_epoch(asked.name)
        claim = Claim(
            asked.claim, asked.kind, asked.sworm, asked.name, asked.spec, known, asked.pid, asked.to,
            definition.revision, int(asked.deadline * 1000), asked.group,
        )  # fmt: skip
        context.send(arbiter, claim)

    def _by_own_name(self, asked: Asked) -> Asked:
        """What is asked of a further name is asked of its process."""
        best = self.context.best(asked.sworm, asked.name)
        return replace(asked, name=best.entry.of) if best is not None and best.entry.of else asked

    def _is_unknown(self, origin: Origin) -> bool:
        member = self.context.member
        return origin not in member.directory or member.has_departed(origin)

    def _decider(self, asked: Asked) -> Origin:
        """Who answers: the name's arbiter; for a group the host, where one is known."""
        context = self.context
        if asked.kind in (JOIN, LEAVE):
            if asked.pid:
                return origin_of_pid(asked.pid)
            best = context.best(asked.sworm, asked.name)
            if best is not None:
                return best.origin
        return context.placement.arbiter(asked.sworm, asked.name)

    # -------------------------------------------------------------------------------------------------------- answers

    def on_verdict(self, verdict: Verdict) -> None:
        """The arbiter has spoken."""
        ask = self.open.get(verdict.id)
        if ask is None or ask.verdict is not None:
            return
        if verdict.result == "retry":
            ask.resend_at = min(ask.resend_at, self.context.now + RETRY_DELAY)
            self._check_by(ask)
        elif not verdict.origin or self.merged(ask.asked.sworm, verdict.origin, verdict.version):
            self._finish(ask, verdict)
        else:
            ask.verdict = verdict
            self._want_ack(ask.asked.sworm, verdict.origin)
            self.merging.setdefault((ask.asked.sworm, verdict.origin), []).append(ask)

    def merged(self, sworm: str, origin: Origin, version: int) -> bool:
        """Whether what stands at an origin's version is held by one more node than its host."""
        return self._merged_up_to(sworm, origin) >= version

    def _merged_up_to(self, sworm: str, origin: Origin) -> float:
        """The version of an origin's map up to which that is so; FOREVER: nobody else is there, or it is over."""
        member = self.context.member
        if origin != self.context.me:
            return FOREVER if member.is_over(origin) else member.replica(sworm).version(origin)
        others = member.others_alive()
        return max((member.repair.acknowledged(peer, sworm) for peer in others), default=FOREVER)

    def _want_ack(self, sworm: str, origin: Origin, *, overdue: bool = False) -> None:
        """What this node hosts itself is acknowledged by one other: the next by name, as long as it does so in time.

        Always the same one, since a frame that carries many acknowledgements costs little more than one.
        """
        me = self.context.me
        others = self.context.member.others_alive() if origin == me else []
        if others:
            self._turn += overdue
            next_by_name = bisect(others := sorted(others), me)
            self.context.member.repair.want_ack(sworm, others[(next_by_name + self._turn) % len(others)])

    def on_delta(self, delta: Delta) -> None:
        """A copy may have moved: answer those who waited for it."""
        self._recheck(delta.sworm, delta.origin)

    def on_ack(self, ack: Ack) -> None:
        """A peer has merged something of ours."""
        for sworm in ack.versions:
            self._recheck(sworm, self.context.me)

    def _recheck(self, sworm: str, origin: Origin) -> None:
        waiting = self.merging.get((sworm, origin))
        if not waiting:
            return
        still, reached = [], self._merged_up_to(sworm, origin)
        for ask in waiting:
            assert ask.verdict is not None
            if ask.verdict.version <= reached:
                self._finish(ask, ask.verdict)
            else:
                still.append(ask)
        if still:
            self.merging[sworm, origin] = still
        else:
            self.merging.pop((sworm, origin), None)

    def _finish(self, ask: Ask, verdict: Verdict) -> None:
        self.open.pop(ask.asked.claim, None)
        for request in ask.requests:
            self.context.reply(
                Reply(request, verdict.result, verdict.pid, verdict.epoch, verdict.origin, verdict.version,
                      verdict.problem, verdict.detail)
            )  # fmt: skip

    # ----------------------------------------------------------------------------------------------------------- time

    def view_changed(self) -> None:
        """Who decides may have changed, and who must acknowledge: look at every open ask again."""
        for sworm, origin in list(self.merging):
            self._recheck(sworm, origin)
        for ask in list(self.open.values()):
            arbiter = self._decider(ask.asked)
            lost = ask.verdict is not None and self.context.member.has_departed(ask.verdict.origin)
            if lost or (ask.verdict is None and arbiter != ask.sent_to):
                self._unmerge(ask)
                self._route(ask)

    def _unmerge(self, ask: Ask) -> None:
        if ask.verdict is not None:
            waiting = self.merging.get((ask.asked.sworm, ask.verdict.origin), [])
            if ask in waiting:
                waiting.remove(ask)
            ask.verdict = None

    def tick(self) -> None:
        """Send again what has had no answer; give up what is too late."""
        now = self.context.now
        if now < self.check_at:
            return
        self.check_at = FOREVER
        overdue: set[tuple[str, Origin]] = set()
        for ask in list(self.open.values()):
            if self.open.get(ask.asked.claim) is not ask:
                continue  # another one's turn has answered it
            if now >= ask.asked.deadline:
                self._give_up(ask)
                continue
            if now >= ask.resend_at:
                ask.resend_at = now + self.context.config.resend
                if ask.verdict is None:
                    self._route(ask)
                else:
                    overdue.add((ask.asked.sworm, ask.verdict.origin))
            if ask.asked.claim in self.open:
                self._check_by(ask)
        for sworm, origin in sorted(overdue):  # the news that ends them may have been lost, and repaired by a summary
            self._want_ack(sworm, origin, overdue=True)
            self._recheck(sworm, origin)

    def _check_by(self, ask: Ask) -> None:
        self.check_at = min(self.check_at, ask.resend_at, ask.asked.deadline)

    def _give_up(self, ask: Ask) -> None:
        arbiter = ask.sent_to
        self._unmerge(ask)
        if arbiter:
            detail = (
                f"{arbiter} decides about this name and did not answer in time; whether it took effect, a lookup tells"
            )
            self._finish(ask, Verdict(ask.asked.claim, "no_answer", "", 0, "", 0, "no_answer", detail))
        else:
            detail = f"no node that is up hosts {ask.asked.sworm}"
            self._finish(ask, Verdict(ask.asked.claim, "refused", "", 0, "", 0, "no_node", detail))
