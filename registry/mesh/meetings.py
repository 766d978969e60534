"""Links that do not stand yet: dials of ours, and strangers who dialled us.

Law: a link is in here from its first moment until it stands or is given up, which happens within the handshake's
time-out. Each dial that was asked for has one end: a link with the peer that was wanted, or `connect_failed`, once.
Strangers are bounded in number and in how much they may have written to the log. Nothing of a standing link is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from registry.core.ids import Origin
from registry.mesh.callbacks import Callbacks
from registry.mesh.handshake import Acceptor, Dialler, Terms, check_key
from registry.mesh.link import MEETING, OVER, Dial, Link
from registry.mesh.protocol import (
    CLOCK_SKEW,
    CLUSTER_KEY,
    DUPLICATE,
    LOST,
    NOT_THERE,
    PROTOCOL_VERSION,
    REFUSED,
    TIMEOUT,
    VERSION,
    WRONG_LANE,
    Handler,
    Hello,
    Identity,
    Options,
    Refusal,
    Traffic,
    code_of,
)
from registry.mesh.roster import Roster
from registry.mesh.throttle import Throttle

log = logging.getLogger("registry.mesh")

#: Seconds between two words about what keeps this node out: it dials on all the time.
SAY_AGAIN = 30.0

#: What keeps a node out until somebody mends it, whoever of the two found it out.
_MENDABLE = frozenset({CLUSTER_KEY, VERSION, CLOCK_SKEW, WRONG_LANE, REFUSED})


class Board(Protocol):
    """What meetings need of the mesh."""

    options: Options
    traffic: Traffic

    @property
    def identity(self) -> Identity:
        """Who we are."""
        ...

    def stands(self, origin: Origin) -> bool:
        """Whether a link with this peer stands."""
        ...

    def time(self) -> float:
        """The loop's clock, in seconds."""
        ...

    def later(self, delay: float, function: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Call a function after so many seconds."""
        ...


class Meetings:
    """The handshakes of one mesh, and the dials that somebody waits for."""

    def __init__(self, board: Board, key: bytes, handler: Handler, calls: Callbacks, roster: Roster) -> None:
        """Raises `ValueError` for a key that is too short."""
        self._board = board
        self._key = check_key(key)
        self._handler = handler
        self._calls = calls
        self._roster = roster
        self._throttle = Throttle()
        self._out = Throttle(SAY_AGAIN)
        self._meeting: set[Link] = set()
        self._dials: dict[Dial, Link] = {}
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._meeting)

    # ----------------------------------------------------------------------------------------------------- beginnings

    def dial(self, link: Link, asked: Dial) -> bool:
        """Begin to meet whoever answers this dial; False when the same is asked for already, or all is over."""
        if self._is_closed or asked in self._dials:
            return False
        self._dials[asked] = link
        self._meet(link, Dialler(self._terms(ours=True), self._roster.lost))
        return True

    def admit(self, link: Link) -> bool:
        """Begin to meet somebody who dialled us; False when there are too many strangers, or all is over."""
        if self._is_closed or len(self._meeting) >= self._board.options.max_strangers:
            return False
        self._meet(link, Acceptor(self._terms(ours=False)))
        return True

    def _meet(self, link: Link, handshake: Acceptor | Dialler) -> None:
        link.handshake = handshake
        self._meeting.add(link)
        timeout = self._board.options.handshake_timeout
        link.timer = self._board.later(timeout, self.give_up, link, f"{TIMEOUT}: no link within {timeout:g} s")

    def _terms(self, *, ours: bool) -> Terms:
        options = self._board.options
        return Terms(
            key=self._key,
            hello=self._hello,
            clock=options.clock,
            max_clock_skew=options.max_clock_skew,
            decide=partial(self._decide, ours=ours),
        )

    def _hello(self) -> Hello:
        mine = self._board.identity
        return Hello(PROTOCOL_VERSION, mine.origin, mine.role, mine.lane, self._board.options.clock(), mine.url)

    def _decide(self, hello: Hello, link: bytes, lost: bytes, *, ours: bool) -> int | Refusal:
        refusal = self._refusal(hello)
        if refusal is not None:
            return Refusal(f"{REFUSED}: {refusal.reason}", refusal.last_incarnation)
        return self._roster.decide(hello, link, lost, ours=ours)

    def _refusal(self, hello: Hello) -> Refusal | None:
        try:
            return self._board.options.admit(hello)
        except Exception:
            log.exception("the owner of the mesh failed to decide about %s", hello.origin)
            return Refusal(f"{self._board.identity.origin} could not decide")

    # ----------------------------------------------------------------------------------------------------------- ends

    def part(self, link: Link) -> None:
        """The meeting is over, one way or the other."""
        self._meeting.discard(link)
        if link.timer is not None:
            link.timer.cancel()
            link.timer = None

    def leave(self, link: Link, reason: str) -> None:
        """End a meeting without a word to the handler."""
        self.part(link)
        peer = link.handshake.peer if link.handshake is not None else None
        if peer is not None and link.handshake is not None:
            self._roster.drop(peer.origin, link.handshake.link)
        link.handshake = None
        link.end(reason)

    def give_up(self, link: Link, reason: str, *, refused: bool = False, last_incarnation: int | None = None) -> None:
        """A link will never stand: tell whoever wanted it, or that somebody was turned away."""
        if link.stage is not MEETING:
            return
        wire, handshake = link.wire, link.handshake
        self.leave(link, reason)
        if link.asked is not None:
            self._say_kept_out(link.asked[0], reason)
            self._dial_over(link, refused, reason, last_incarnation)
        else:
            peer = handshake.peer if handshake is not None else None
            self._turned_away(wire.address if wire is not None else "", peer, reason)
        self._calls.drain()

    def stood(self, link: Link, origin: Origin) -> None:
        """A link stands: whoever wanted this peer has it; a dial that met somebody else has failed."""
        for asked, dial in list(self._dials.items()):
            if asked[1] == origin and dial.stage is OVER:
                del self._dials[asked]
        if link.asked is None:
            return
        url, wanted = link.asked
        self._dials.pop(link.asked, None)
        if wanted is not None and wanted != origin:
            reason = f"{NOT_THERE}: {origin} answered at {url}, not {wanted}"
            self._calls.call(self._handler.connect_failed, url, wanted, True, reason, None)

    def close(self, farewell: str, reason: str) -> None:
        """End every meeting and every dial: strangers hear the farewell, the handler the reason; begin none again."""
        self._is_closed = True
        for link in list(self._meeting):
            self.leave(link, farewell)
        for link in list(self._dials.values()):
            self._dial_over(link, False, reason, None)

    def _turned_away(self, address: str, peer: Hello | None, reason: str) -> None:
        code = code_of(reason)
        if code == DUPLICATE or (code == LOST and peer is None):
            return  # two dials that crossed, or somebody who only looked whether the port is open
        self._board.traffic.refused += 1
        passed_over = self._throttle.pass_over(code, self._board.time())
        if passed_over is None:
            return
        if passed_over:
            reason = f"{reason} ({passed_over} more since the last word about this)"
        origin = peer.origin if peer is not None else None
        log.warning("turned away %s at %s: %s", origin or "a stranger", address, reason)
        self._calls.call(self._handler.peer_refused, address, origin, reason)

    def _say_kept_out(self, url: str, reason: str) -> None:
        """The other side says it in its log; whoever looks why this node is alone looks here."""
        code = code_of(reason)
        if code in _MENDABLE and self._out.pass_over(code, self._board.time()) is not None:
            log.warning("no link with %s: %s", url, reason)

    def _dial_over(self, link: Link, refused: bool, reason: str, last: int | None) -> None:
        if link.asked is None or self._dials.get(link.asked) is not link:
            return
        url, wanted = link.asked
        has_peer = wanted is not None and self._board.stands(wanted)
        if wanted is not None and not has_peer and code_of(reason) == DUPLICATE and not self._is_closed:
            # The peer is finishing its own dial. Should that fail, this one has failed with it.
            self._board.later(self._board.options.handshake_timeout, self._dial_lapsed, link, reason)
            return
        del self._dials[link.asked]
        if not has_peer:
            self._calls.call(self._handler.connect_failed, url, wanted, refused, reason, last)

    def _dial_lapsed(self, link: Link, reason: str) -> None:
        if link.asked is not None and self._dials.get(link.asked) is link:
            url, wanted = link.asked
            del self._dials[link.asked]
            self._calls.call(self._handler.connect_failed, url, wanted, False, reason, None)
            self._calls.drain()
