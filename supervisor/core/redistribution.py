"""Active redistribution: after nodes came or went, running processes move to where their strategy wants them.

Law: one node of a view does it for all sworms, so that no two plans work against each other: the first by rendezvous
hash over the view. It begins when neither view nor definitions changed for `calm`; each change begins anew. It moves
at most one process every `pace`, a few at once, none that came to its node less than `dwell` ago, and **each process at
most once until the next change**, whatever the strategy says: so it ends, and cannot thrash. What fails is tried again
after `dwell`, `TRIES` times in all. A move is an ordinary handoff, by claim; what is no longer as planned when its turn
comes is left alone. Processes of a node that is cordoned or drains are none of its business.

The epoch of a process tells when it came: it is granted with each move and restart, and close to the time of day.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from registry.core.events import Report
from registry.core.ids import node_of
from registry.core.member import FOREVER
from registry.core.names import RUNNING, Located
from supervisor.core.asks import Asks
from supervisor.core.choosing import Choosing
from supervisor.core.context import Context
from supervisor.core.events import Asked, Chosen, Reply
from supervisor.core.placement import named
from supervisor.core.rebalance import Limits, Move, Placed, plan
from supervisor.core.spec import ACTIVE, STRATEGIES
from supervisor.core.strategies import LEAST_LOADED, Candidate, heaviest, load

#: Moves under way at once.
WIDTH = 4
#: Times that a move is tried until the next change.
TRIES = 3
#: Processes looked at in one turn.
SLICE = 250

Slot = tuple[str, str]  # (sworm, name)


class Redistribution:
    """What one node does of it: nothing, unless it is the one."""

    def __init__(self, context: Context, asks: Asks, choosing: Choosing) -> None:
        self.context = context
        self.asks = asks
        self.choosing = choosing
        self.check_at = FOREVER
        self.todo: deque[Move] = deque()
        self.moving: set[Slot] = set()
        self._tries: dict[Slot, int] = {}  #: since the last change
        self._not_before: dict[Slot, float] = {}
        self._slices: Iterator[tuple[str, list[Placed]]] | None = None  #: the look at all processes that is under way
        self._ripe_at = FOREVER  #: when a process that was left alone for its dwell time may be looked at
        self._thinking = False  #: a user's own strategy was asked
        self._change = 0
        self.begun_at = 0.0  #: when the last change came
        self.asked = 0  #: moves so far
        self._next_move = 0.0

    def begin(self) -> None:
        """Nodes came or went, or definitions changed: plan anew, when it is calm."""
        self._change += 1
        self.begun_at = self.context.now
        self.todo.clear()
        self._tries.clear()
        self._not_before.clear()
        self._slices, self._thinking = None, False
        self._ripe_at = self.check_at = self.context.now + self.context.config.calm

    def is_ours(self) -> bool:
        """Whether this node redistributes for its view."""
        context = self.context
        hosts = [origin for origin, _ in context.placement.view.hosts]
        mine = node_of(context.me) == heaviest("redistribution", map(node_of, hosts))
        return mine and context.me in hosts and not context.draining

    def is_left(self, sworm: str, name: str) -> bool:
        """Whether a process was moved, or failed to often enough, since the last change: it stays where it is."""
        return self._tries.get((sworm, name), 0) >= TRIES

    def tick(self) -> None:
        """Plan a little, move a little."""
        now = self.context.now
        if now < self.check_at:
            return
        if not any(d.redistribution == ACTIVE for d in self.context.definitions.values()) or not self.is_ours():
            self.check_at = FOREVER  # until the next change
            return
        if not self.context.member.ready:
            self.check_at = now + self.context.config.pace
            return
        if self._slices is None and not self.todo and not self.moving and now >= self._ripe_at:
            self._slices, self._ripe_at = self._look(), FOREVER
        if self._slices is not None and not self._thinking:
            self._plan()
        elif self._slices is None and self.todo and now >= self._next_move and len(self.moving) < WIDTH:
            self._next_move = now + self.context.config.pace
            self._move(self.todo.popleft())
        self._schedule()

    def _schedule(self) -> None:
        now = self.context.now
        if self._slices is not None:
            self.check_at = FOREVER if self._thinking else now
        elif self.todo:
            self.check_at = max(now, self._next_move) if len(self.moving) < WIDTH else FOREVER
        elif self.moving:
            self.check_at = FOREVER  # until one of them ends
        else:
            self.check_at = self._ripe_at

    # ----------------------------------------------------------------------------------------------------------- plan

    def _look(self) -> Iterator[tuple[str, list[Placed]]]:
        """Every process that may move now, a slice at a time; all at once where each depends on the others."""
        for sworm, definition in sorted(self.context.definitions.items()):
            if definition.redistribution != ACTIVE:
                continue
            names = sorted(self.context.replica(sworm).index)
            whole = definition.distribution_strategy == LEAST_LOADED
            size = len(names) or 1 if whole else SLICE
            for start in range(0, len(names), size):
                yield sworm, [placed for name in names[start : start + size] if (placed := self._placed(sworm, name))]

    def _placed(self, sworm: str, name: str) -> Placed | None:
        """A process as the plan wants it, if it may move now."""
        context = self.context
        found = context.best(sworm, name)
        if found is None or not self._is_settled(found) or (sworm, name) in self.moving:
            return None
        since = found.entry.epoch / 1_000_000
        ripe = max(since + context.config.dwell, self._not_before.get((sworm, name), 0.0))
        if self.is_left(sworm, name):
            return None
        if ripe > context.now:
            self._ripe_at = min(self._ripe_at, ripe)
            return None
        return Placed(sworm, name, node_of(found.origin), found.entry.epoch, since, found.entry.claim)

    def _is_settled(self, found: Located) -> bool:
        up = any(origin == found.origin for origin, _ in self.context.placement.view.hosts)
        return up and found.entry.spec is not None and found.entry.state == RUNNING

    def _plan(self) -> None:
        """The next slice."""
        assert self._slices is not None
        found = next(self._slices, None)
        if found is None:
            self._slices = None
            self._tell()
            return
        sworm, placed = found
        candidates = self.choosing.candidates(sworm)
        strategy = self.context.definitions[sworm].distribution_strategy
        if not placed or not candidates:
            return
        if strategy in STRATEGIES:
            self.todo.extend(plan(placed, candidates, strategy, Limits(), self.context.now))
        else:
            self._ask(sworm, placed, candidates)

    def _ask(self, sworm: str, placed: list[Placed], candidates: list[Candidate]) -> None:
        """A user's own strategy plans; what it cannot say, stays."""
        self._thinking, change = True, self._change

        def then(event: Chosen) -> None:
            if change != self._change:
                return
            self._thinking, self.check_at = False, self.context.now
            if event.problem or len(event.nodes) != len(placed):
                self.choosing.tell(sworm, event.problem or "the strategy answered for other names than it was asked")
                return
            said = dict(zip((process.name for process in placed), event.nodes, strict=True))
            known = {candidate.node for candidate in candidates}
            self.todo.extend(
                plan(
                    [process for process in placed if said[process.name] in known],
                    candidates,
                    lambda name, _: said[name],
                    Limits(),
                    self.context.now,
                )
            )

        self.choosing.ask(sworm, tuple(process.name for process in placed), candidates, then)

    def _tell(self) -> None:
        """People hear what is about to happen."""
        for sworm in dict.fromkeys(move.sworm for move in self.todo):
            moves = [move for move in self.todo if move.sworm == sworm]
            first = f"{moves[0].name} from {moves[0].source} to {moves[0].target}, since {moves[0].why}"
            detail = f"processes to move: {len(moves)}; first {first}"
            self.context.out.append(Report("redistribution", sworm, node=self.context.member.node, detail=detail))

    # ----------------------------------------------------------------------------------------------------------- move

    def _move(self, move: Move) -> None:
        context = self.context
        slot = (move.sworm, move.name)
        found = context.best(*slot)
        self._tries[slot] = self._tries.get(slot, 0) + 1
        if found is None or not self._is_settled(found) or not self._is_still_wanted(move, found):
            self._ripe_at = min(self._ripe_at, context.now + context.config.calm)
            return
        self.asked += 1
        self.moving.add(slot)
        request, change = f"redistribution/{self.asked}", self._change

        def then(reply: Reply) -> None:
            self.moving.discard(slot)
            self.check_at = min(self.check_at, max(context.now, self._next_move))
            if change == self._change:
                self._ended(slot, reply)

        context.callbacks[request] = then
        deadline = context.now + context.config.move_timeout
        claim = f"{context.me}/{request}"
        self.asks.ask(Asked(request, "move", *slot, deadline, claim, pid=found.pid, to=move.target))

    def _ended(self, slot: Slot, reply: Reply) -> None:
        context = self.context
        if reply.result == "done":
            self._tries[slot] = TRIES
        else:
            self._not_before[slot] = context.now + context.config.dwell
        self._ripe_at = min(self._ripe_at, context.now)  # look again once all is moved: something may be left

    def _is_still_wanted(self, move: Move, found: Located) -> bool:
        """Whether a move is as it was planned; loads may have levelled out by themselves."""
        if node_of(found.origin) != move.source or not named(self.choosing.eligible(move.sworm), move.target):
            return False
        definition = self.context.definitions.get(move.sworm)
        if definition is None or definition.distribution_strategy != LEAST_LOADED:
            return definition is not None
        by_node = {candidate.node: candidate for candidate in self.choosing.candidates(move.sworm)}
        source, target = by_node.get(move.source), by_node[move.target]
        return source is None or load(target, 1) < load(source)
