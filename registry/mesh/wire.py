"""What carries the frames of one connection: the seam between the rules of links and the sockets (or queues) below.

Law: a wire keeps frames whole and in order, or ends. It knows nothing of peers, keys or messages.
"""

from __future__ import annotations

from typing import Protocol


class Wire(Protocol):
    """One connection. None of its methods blocks, raises, or calls the `End` back before it returns."""

    @property
    def address(self) -> str:
        """The other side, for people."""

    def send(self, frame: bytes) -> None:
        """Send a frame after those before it; lost without a word once the wire is closed."""

    def waiting(self) -> int:
        """Bytes that were sent and that the other side's system has not taken yet."""

    def allow(self, size: int) -> None:
        """Take frames up to this size from now on; a larger one ends the wire."""

    def ping(self) -> None:
        """Ask the other side for a sign of life."""

    def close(self, reason: str) -> None:
        """End the wire in order: what was sent goes out first, then the reason. Nothing is heard from it any more."""

    def abort(self) -> None:
        """End the wire at once, whatever waits. Nothing is heard from it any more."""


class End(Protocol):
    """Who sits at our end of a wire. Called on the loop, never from within a method of the wire."""

    def opened(self) -> None:
        """Frames can be sent."""

    def heard(self) -> None:
        """Something came, if only a pong or a part of a frame."""

    def frame(self, frame: bytes | bytearray | memoryview) -> None:
        """A whole frame came."""

    def closed(self, reason: str) -> None:
        """The wire is gone; `reason` starts with its code. Called once, unless we ended it ourselves."""

    def failed(self, refused: bool, reason: str) -> None:
        """A dialled wire never came to be; `refused`: nobody listens there. Called instead of all the others."""
