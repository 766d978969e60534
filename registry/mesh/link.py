"""One connection of a mesh: strangers first, then peers.

Law: a link is in one of three stages and only moves forward: meeting (its handshake runs), standing (messages flow),
over. While meeting nothing but the handshake is read; once over nothing is. What is sent within one turn of the loop
waits in the outbox and leaves as one frame; the outbox is bounded in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from registry.core.ids import Origin
from registry.mesh.codec import FRAME_OVERHEAD
from registry.mesh.handshake import Acceptor, Dialler, Established, HandshakeFailed
from registry.mesh.protocol import LOST, OUTBOX_FULL, SILENT, Hello
from registry.mesh.wire import Wire

if TYPE_CHECKING:
    import asyncio

    from registry.mesh.switchboard import Switchboard

MEETING = "meeting"
STANDING = "standing"
OVER = "over"

#: A dial as it was asked for: URL, and the origin that should be there.
Dial = tuple[str, Origin | None]


class Link:
    """One end of a wire, with the state of the conversation on it."""

    __slots__ = (
        "asked",
        "board",
        "handshake",
        "heard_at",
        "hello",
        "name",
        "number",
        "outbox",
        "size",
        "stage",
        "timer",
        "wire",
    )

    def __init__(self, board: Switchboard, asked: Dial | None) -> None:
        self.board = board
        self.asked = asked  #: the dial that this link is to fulfil; None: we were dialled
        self.stage = MEETING
        self.handshake: Acceptor | Dialler | None = None
        self.wire: Wire | None = None
        self.hello: Hello | None = None
        self.name = b""  #: both sides' name of this link, from the handshake
        self.number = 0
        self.outbox: list[bytes] = []
        self.size = 0  #: bytes in the outbox
        self.heard_at = 0.0
        self.timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------- what the wire tells

    def opened(self) -> None:
        """Frames can be sent: the acceptor speaks first."""
        self.heard()
        if isinstance(self.handshake, Acceptor):
            self.send_now(self.handshake.open())

    def heard(self) -> None:
        """Note a sign of life."""
        self.heard_at = self.board.time()

    def frame(self, frame: bytes | bytearray | memoryview) -> None:
        """A frame: of messages when the link stands, else of the handshake."""
        if self.stage is STANDING:
            self.board.frame_received(self, frame)
        elif self.stage is MEETING:
            self._shake(bytes(frame))

    def closed(self, reason: str) -> None:
        """The wire went away under us."""
        self.board.link_lost(self, reason)

    def failed(self, refused: bool, reason: str) -> None:
        """A dial came to nothing before a word was exchanged."""
        self.board.link_lost(self, reason, refused)

    def _shake(self, frame: bytes) -> None:
        handshake = self.handshake
        if handshake is None:
            return
        try:
            answer = handshake.receive(frame)
        except HandshakeFailed as failure:
            self.board.handshake_failed(self, failure)
            return
        if isinstance(answer, bytes):
            self.send_now(answer)
            if isinstance(handshake, Acceptor):
                self.allow_messages()  # proved by now; its first messages may come together with its last word
            return
        if isinstance(handshake, Dialler):
            self.send_now(handshake.farewell)
        self._establish(answer)

    def _establish(self, established: Established) -> None:
        self.hello, self.name, self.number = established
        self.board.link_made(self, established.hello)

    # --------------------------------------------------------------------------------------------- what the board does

    def put(self, data: bytes) -> bool:
        """Queue an encoded message; True when it is the first of this turn."""
        self.outbox.append(data)
        self.size += len(data)
        return len(self.outbox) == 1

    def overfull(self, most: int) -> bool:
        """Whether more bytes wait for the peer than it may keep waiting."""
        return self.size > most or (self.wire is not None and self.size + self.wire.waiting() > most)

    def flush(self, frame: Callable[[list[bytes]], bytes], most: int) -> int:
        """Send what is queued, in frames of at most `most` bytes; returns how many."""
        queued, self.outbox = self.outbox, []
        size, self.size = self.size, 0
        if size + FRAME_OVERHEAD <= most:
            self.send_now(frame(queued))
            return 1
        batches = _batches(queued, most - FRAME_OVERHEAD)
        for batch in batches:
            self.send_now(frame(batch))
        return len(batches)

    def send_now(self, frame: bytes) -> None:
        """Hand a frame to the wire."""
        if self.wire is not None:
            self.wire.send(frame)

    def allow_messages(self) -> None:
        """Let frames of full size in."""
        if self.wire is not None:
            self.wire.allow(self.board.options.max_frame)

    def end(self, reason: str) -> None:
        """Leave the conversation; the wire goes in order, or at once when the peer does not take what we send."""
        self.stage = OVER
        self.outbox, self.size = [], 0
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        wire, self.wire = self.wire, None
        if wire is None:
            return
        if reason.startswith((OUTBOX_FULL, LOST, SILENT)):
            wire.abort()
        else:
            wire.close(reason)


def _batches(messages: list[bytes], most: int) -> list[list[bytes]]:
    batches: list[list[bytes]] = [[]]
    room = most
    for message in messages:
        if len(message) > room and batches[-1]:
            batches.append([])
            room = most
        batches[-1].append(message)
        room -= len(message)
    return batches
