"""States on their way between nodes: a small one stands in the message that speaks of it, a larger one is pulled.

Law: whoever needs a state asks for it piece by piece, and has no more than `WINDOW` bytes under way to it at any time,
over all states and all peers together. So no link ever carries more of them than that, and heartbeats, claims and
deltas pass between the pieces, however many states of whatever size move at once. A piece that does not come is asked
for again; a state whose holder departs, or has it no more, ends with None. Each wish ends exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from registry.core.ids import Origin
from registry.core.member import FOREVER
from registry.core.messages import Fetch, Piece
from supervisor.core.context import Context

#: Largest state that a node hands over, bytes of MessagePack. A larger one is refused, and its process stays.
MAX_STATE = 4 * 1024 * 1024

#: Largest state that travels inside `Prepare`, `Keep` or `Resolve`, bytes: below it a round trip costs more than it
#: saves, and a wave of moves stays small on a link (64 of them are a megabyte).
INLINE = 16 * 1024

#: Bytes in one piece: well below a millisecond of a gigabit link.
PIECE = 64 * 1024

#: Bytes that may be under way to this node. On a gigabit link they pass within 5 ms; a heartbeat waits no longer.
WINDOW = 512 * 1024


class StateKey(NamedTuple):
    """One state as it was taken once: of which process, and when."""

    sworm: str
    name: str
    pid: str  #: of the process that gave it
    taken_at: int  #: ms since 1970 by its host's clock; no two states of a pid have the same


#: Hears the state, or None when it cannot be had.
Then = Callable[[bytes | None], None]


@dataclass(slots=True, eq=False)
class Incoming:
    """One state that this node pulls."""

    key: StateKey
    holder: Origin
    size: int
    thens: list[Then]
    todo: deque[int]
    asked: dict[int, float] = field(default_factory=dict)  #: offset -> when it is asked for again
    got: dict[int, bytes] = field(default_factory=dict)


def carried(state: bytes) -> tuple[bytes, int]:
    """What a message carries of a state, and the size of what must be pulled: (state, 0) or (nothing, size)."""
    return (state, 0) if len(state) <= INLINE else (b"", len(state))


class Transfers:
    """Both ends of the states that this node pulls and gives."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.sources: list[Callable[[StateKey], bytes | None]] = []  #: who in this node may hold a state
        self.incoming: dict[StateKey, Incoming] = {}
        self.under_way = 0
        self.check_at = FOREVER

    # --------------------------------------------------------------------------------------------------------- holder

    def find(self, key: StateKey) -> bytes | None:
        """A state that this node holds."""
        found = (source(key) for source in self.sources)
        return next((state for state in found if state is not None), None)

    def on_fetch(self, sender: Origin, message: Fetch) -> None:
        """Somebody wants a piece."""
        key = StateKey(message.sworm, message.name, message.pid, message.taken_at)
        state = self.find(key)
        size = -1 if state is None else len(state)
        data = b"" if state is None else state[max(0, message.offset) : max(0, message.offset) + PIECE]
        self.context.send(sender, Piece(*key, message.offset, size, data))

    # ------------------------------------------------------------------------------------------------------- receiver

    def want(self, holder: Origin, key: StateKey, size: int, then: Then) -> None:
        """Pull a state; one that is being pulled is pulled once, for all who wish for it, from whom was named last."""
        if holder == self.context.me:
            then(self.find(key))
            return
        if not 0 < size <= MAX_STATE:
            then(None if size else b"")
            return
        known = self.incoming.get(key)
        if known is not None and known.holder == holder:
            known.thens.append(then)
            return
        thens = [then]
        if known is not None:
            self._drop(known)
            thens = [*known.thens, then]
        self.incoming[key] = Incoming(key, holder, size, thens, deque(range(0, size, PIECE)))
        self._ask()

    def _ask(self) -> None:
        """Ask for what there is room for, the oldest wish first."""
        for incoming in self.incoming.values():
            while incoming.todo:
                offset = incoming.todo[0]
                weight = self._weight(incoming, offset)
                if self.under_way and self.under_way + weight > WINDOW:
                    return
                incoming.todo.popleft()
                self.under_way += weight
                again = incoming.asked[offset] = self.context.now + self.context.config.resend
                self.check_at = min(self.check_at, again)
                self.context.send(incoming.holder, Fetch(*incoming.key, offset))

    def _weight(self, incoming: Incoming, offset: int) -> int:
        return min(PIECE, incoming.size - offset)

    def on_piece(self, sender: Origin, message: Piece) -> None:
        """A piece has come, perhaps again."""
        incoming = self.incoming.get(StateKey(message.sworm, message.name, message.pid, message.taken_at))
        if incoming is None or incoming.holder != sender:
            return
        if message.size != incoming.size:
            self._end(incoming, None)
            return
        offset = message.offset
        if offset not in incoming.asked or len(message.data) != self._weight(incoming, offset):
            return
        del incoming.asked[offset]
        self.under_way -= self._weight(incoming, offset)
        incoming.got[offset] = message.data
        if not incoming.todo and not incoming.asked:
            self._end(incoming, b"".join(incoming.got[at] for at in sorted(incoming.got)))
        else:
            self._ask()

    def _end(self, incoming: Incoming, state: bytes | None) -> None:
        self._drop(incoming)
        for then in incoming.thens:
            then(state)
        self._ask()

    def _drop(self, incoming: Incoming) -> None:
        self.incoming.pop(incoming.key, None)
        self.under_way -= sum(self._weight(incoming, offset) for offset in incoming.asked)
        incoming.asked.clear()

    def forget(self, key: StateKey) -> None:
        """Who wished for a state needs it no more: the pull ends, with None for all; another may wish anew."""
        incoming = self.incoming.get(key)
        if incoming is not None:
            self._end(incoming, None)

    # ----------------------------------------------------------------------------------------------------------- time

    def tick(self) -> None:
        """Give up on holders that departed, and ask again for pieces that did not come."""
        context = self.context
        if not self.incoming:
            self.check_at = FOREVER
            return
        for incoming in list(self.incoming.values()):
            if context.member.has_departed(incoming.holder) and self.incoming.get(incoming.key) is incoming:
                self._end(incoming, None)
        if context.now < self.check_at:
            return
        self.check_at = FOREVER
        for incoming in self.incoming.values():
            late = sorted(offset for offset, again in incoming.asked.items() if again <= context.now)
            for offset in late:
                del incoming.asked[offset]
                self.under_way -= self._weight(incoming, offset)
            incoming.todo.extendleft(reversed(late))
            self.check_at = min([self.check_at, *incoming.asked.values()])
        self._ask()
