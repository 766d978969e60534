"""How two strangers become peers: mutual proof of the cluster key, without a socket.

Law: the key never travels. Each side proves it by an HMAC-SHA256 over both hellos and both nonces, under the name of
its own part, so that a proof is worth nothing in another handshake (replay), in the other direction (reflection), on
the other lane or for another node. Nothing that an unproved peer says is believed; nothing is decided about it before
its proof.

    dialler                                                    acceptor
       |  <---- challenge: hello, nonce ----------------------------|
       |  ----- response: hello, nonce, lost, proof --------------->|   admitted, and judged when the acceptor is judge
       |  <---- accepted: number, proof ----------------------------|
       |  ----- begin: number, proof ------------------------------>|   the link stands on both sides
    either side, instead of its next word: refused: reason, last incarnation, proof

`lost` names the last link with this peer that ended at the dialler; `number` is the judge's count of its decisions
(`roster`). What follows the handshake is protected by TCP or TLS alone: whoever can alter packets needs TLS against
him.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec

from registry.core.ids import Origin, is_origin
from registry.mesh.protocol import (
    BAD_FRAME,
    CLOCK_SKEW,
    CLUSTER_KEY,
    LANES,
    PROTOCOL_VERSION,
    REFUSED,
    ROLES,
    SELF,
    VERSION,
    WRONG_LANE,
    Hello,
    Refusal,
    code_of,
)

#: Least length of a cluster key in bytes: a listener can try guesses against one recorded handshake, so no guess may
#: succeed.
MIN_KEY = 32

#: Length of a nonce in bytes; far beyond any chance of repeating one.
NONCE = 32

#: Largest frame of a handshake in bytes; strangers get no more room than this.
MAX_HANDSHAKE_FRAME = 4_096


class _Hello(NamedTuple):
    origin: Origin
    role: str
    lane: str
    clock: int
    url: str


class _Challenge(NamedTuple):
    hello: _Hello
    nonce: bytes


class _Response(NamedTuple):
    hello: _Hello
    nonce: bytes
    lost: bytes
    proof: bytes


class _Accepted(NamedTuple):
    number: int
    proof: bytes


class _Begin(NamedTuple):
    number: int
    proof: bytes


class _Refused(NamedTuple):
    reason: str
    last_incarnation: int | None
    proof: bytes


_Step = _Challenge | _Response | _Accepted | _Begin | _Refused
_STEPS: dict[int, type[_Step]] = {1: _Challenge, 2: _Response, 3: _Accepted, 4: _Begin, 5: _Refused}
_NUMBERS = {kind: number for number, kind in _STEPS.items()}
_DECODERS = {number: msgspec.msgpack.Decoder(kind) for number, kind in _STEPS.items()}
_OUTER = msgspec.msgpack.Decoder(tuple[int, int, msgspec.Raw])

_Kind = TypeVar("_Kind", bound=_Step)


class Established(NamedTuple):
    """A handshake that came to its end: who is there, what this link is called, and the judge's number for it."""

    hello: Hello
    link: bytes
    number: int


class HandshakeFailed(Exception):
    """The handshake is over. `reason` starts with its code; `farewell` is a last frame for the peer, empty for none.

    `by_peer`: it refused us; else we refused it. `last_incarnation` only ever comes from a peer that proved the key.
    """

    def __init__(
        self, reason: str, farewell: bytes = b"", *, by_peer: bool = False, last_incarnation: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.farewell = farewell
        self.by_peer = by_peer
        self.last_incarnation = last_incarnation


@dataclass(frozen=True, slots=True)
class Terms:
    """What a handshake needs of its mesh. `decide(hello, link, lost)` is asked once, after the peer's proof: a number
    to let the link stand (the judge's own count, 0 from the side that does not judge), or a refusal.
    """

    key: bytes
    hello: Callable[[], Hello]
    clock: Callable[[], int]
    max_clock_skew: float
    decide: Callable[[Hello, bytes, bytes], int | Refusal]
    nonce: Callable[[], bytes] = lambda: secrets.token_bytes(NONCE)


class _Side:
    """What both sides share: the transcript, the proofs, the refusals."""

    OWN = b""
    OTHER = b""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.mine = terms.hello()
        self.my_nonce = terms.nonce()
        self.peer: Hello | None = None
        self.transcript = b""
        self.link = b""

    def _meet(self, hello: _Hello, nonce: bytes, lost: bytes) -> Hello:
        """Fix the transcript: both hellos and nonces, the acceptor's first."""
        self.peer = Hello(PROTOCOL_VERSION, *hello)
        mine = (_brief(self.mine), self.my_nonce)
        theirs = (hello, nonce)
        first, second = (mine, theirs) if self.OWN == Acceptor.OWN else (theirs, mine)
        self.transcript = msgspec.msgpack.encode((PROTOCOL_VERSION, first, second, lost))
        self.link = hashlib.blake2b(self.transcript, digest_size=8).digest()
        return self.peer

    def _proof(self, part: bytes, words: object) -> bytes:
        return hmac.digest(self.terms.key, part + b"\0" + msgspec.msgpack.encode(words) + self.transcript, "sha256")

    def _holds(self, proof: bytes, words: object) -> bool:
        return hmac.compare_digest(proof, self._proof(self.OTHER, words))

    def _read(self, frame: bytes, kind: type[_Kind]) -> _Kind:
        step = self._parse(frame)
        if isinstance(step, _Refused):
            raise self._refused(step)
        if not isinstance(step, kind):
            raise self.refuse(f"{BAD_FRAME}: a handshake's {_word(kind)} was due, not its {_word(type(step))}")
        return step

    def _parse(self, frame: bytes) -> _Step:
        try:
            version, number, raw = _OUTER.decode(frame)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.refuse(f"{BAD_FRAME}: no step of a handshake: {error}") from error
        if version != PROTOCOL_VERSION:
            raise self.refuse(f"{VERSION}: the peer speaks version {version}; ours is {PROTOCOL_VERSION}")
        try:
            return _DECODERS[number].decode(raw)
        except (KeyError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.refuse(f"{BAD_FRAME}: step {number} of a handshake is not well-formed: {error}") from error

    def _refused(self, step: _Refused) -> HandshakeFailed:
        proved = bool(self.transcript) and self._holds(step.proof, ("refused", step.reason, step.last_incarnation))
        last = step.last_incarnation if proved else None
        reason = step.reason[:300] if code_of(step.reason) else f"{REFUSED}: {step.reason[:300]}"
        return HandshakeFailed(reason, by_peer=True, last_incarnation=last)

    def refuse(self, reason: str, last_incarnation: int | None = None) -> HandshakeFailed:
        """The end of this handshake by our will."""
        proof = self._proof(self.OWN, ("refused", reason, last_incarnation)) if self.transcript else b""
        return HandshakeFailed(reason, _frame(_Refused(reason, last_incarnation, proof)))

    def _check_shape(self, hello: _Hello) -> None:
        """What is told at once, proof or none: it costs a liar only his own handshake."""
        if not is_origin(hello.origin) or hello.role not in ROLES or hello.lane not in LANES:
            raise self.refuse(f"{BAD_FRAME}: the hello of {hello.origin!r:.80} is not well-formed")
        if hello.origin == self.mine.origin:
            raise self.refuse(f"{SELF}: {hello.origin} reached itself")
        if hello.lane != self.mine.lane:
            raise self.refuse(f"{WRONG_LANE}: {hello.lane} reached the lane {self.mine.lane}")

    def _decide(self, received_at: int, lost: bytes) -> int:
        """Clock, roster and owner, once the peer has proved the key."""
        peer = self._peer()
        skew = (peer.clock - received_at) / 1e6
        if abs(skew) > self.terms.max_clock_skew:
            ahead = "ahead of" if skew > 0 else "behind"
            raise self.refuse(
                f"{CLOCK_SKEW}: the clock of {peer.origin} is {abs(skew):.1f} s {ahead} that of {self.mine.origin};"
                f" at most {self.terms.max_clock_skew:g} s are allowed"
            )
        verdict = self.terms.decide(peer, self.link, lost)
        if isinstance(verdict, Refusal):
            raise self.refuse(verdict.reason, verdict.last_incarnation)
        return verdict

    def _peer(self) -> Hello:
        if self.peer is None:  # pragma: no cover - each side meets before it decides
            raise AssertionError("decided about a peer before its hello")
        return self.peer

    def _key_refused(self) -> HandshakeFailed:
        return self.refuse(f"{CLUSTER_KEY}: {self._peer().origin} and {self.mine.origin} have different cluster keys")


class Acceptor(_Side):
    """The side that was dialled. Speaks first (`open`), done with `begin`."""

    OWN = b"acceptor"
    OTHER = b"dialler"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._number: int | None = None

    def open(self) -> bytes:
        """The challenge, to be sent as soon as the connection stands."""
        return _frame(_Challenge(_brief(self.mine), self.my_nonce))

    def receive(self, frame: bytes) -> bytes | Established:
        """Take the dialler's next frame: what to answer, or the end. Raises `HandshakeFailed`."""
        if self._number is None:
            return self._response(self._read(frame, _Response))
        begin = self._read(frame, _Begin)
        if not self._holds(begin.proof, ("begin", begin.number)):
            raise self._key_refused()
        return Established(self._peer(), self.link, max(begin.number, self._number))

    def _response(self, step: _Response) -> bytes:
        received_at = self.terms.clock()
        self._check_shape(step.hello)
        self._meet(step.hello, step.nonce, step.lost)
        if len(step.nonce) != NONCE or not self._holds(step.proof, "response"):
            raise self._key_refused()
        self._number = self._decide(received_at, step.lost)
        return _frame(_Accepted(self._number, self._proof(self.OWN, ("accepted", self._number))))


class Dialler(_Side):
    """The side that dialled. `lost(origin)` is asked for the last link with that peer that ended here (empty: none)."""

    OWN = b"dialler"
    OTHER = b"acceptor"

    def __init__(self, terms: Terms, lost: Callable[[Origin], bytes]) -> None:
        super().__init__(terms)
        self._lost = lost
        self._met_at = 0
        self.farewell = b""  #: the last word, to be sent once `receive` has returned `Established`

    def receive(self, frame: bytes) -> bytes | Established:
        """Take the acceptor's next frame: what to answer, or the end. Raises `HandshakeFailed`."""
        if self.peer is None:
            return self._challenge(self._read(frame, _Challenge))
        step = self._read(frame, _Accepted)
        if not self._holds(step.proof, ("accepted", step.number)):
            raise self._key_refused()
        # The acceptor is never the one who lost a link that it now lets us make anew: only a dialler tells of losses.
        number = max(step.number, self._decide(self._met_at, b""))
        self.farewell = _frame(_Begin(number, self._proof(self.OWN, ("begin", number))))
        return Established(self._peer(), self.link, number)

    def _challenge(self, step: _Challenge) -> bytes:
        self._met_at = self.terms.clock()
        self._check_shape(step.hello)
        if len(step.nonce) != NONCE:
            raise self.refuse(f"{BAD_FRAME}: a nonce has {NONCE} bytes, not {len(step.nonce)}")
        lost = self._lost(step.hello.origin)
        self._meet(step.hello, step.nonce, lost)
        return _frame(_Response(_brief(self.mine), self.my_nonce, lost, self._proof(self.OWN, "response")))


def check_key(key: bytes) -> bytes:
    """Return a cluster key unchanged. Raises `ValueError` when it is too short to be one."""
    if len(key) < MIN_KEY:
        raise ValueError(f"the cluster key has {len(key)} bytes; at least {MIN_KEY} are needed")
    return key


def _brief(hello: Hello) -> _Hello:
    return _Hello(hello.origin, hello.role, hello.lane, hello.clock, hello.url)


def _frame(step: _Step) -> bytes:
    return msgspec.msgpack.encode((PROTOCOL_VERSION, _NUMBERS[type(step)], step))


def _word(kind: type[Any]) -> str:
    return kind.__name__.strip("_").lower()
