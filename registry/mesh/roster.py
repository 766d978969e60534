"""Which of several links to one peer stands.

Law: at most one link to each origin, and to each node name only its newest incarnation. Of two peers the one with the
smaller origin judges: a link stands by its word alone, and each word has a number that grows. So whatever crosses on
the way, both end with the link of the judge's highest number. The judge keeps the link that it has, unless the other
side tells that it lost exactly that one: then it was not a race of two dials but a loss that only one side has noticed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from registry.core.ids import Origin, incarnation_of, node_of
from registry.mesh.protocol import DUPLICATE, ENDED, Hello, Refusal

#: Peers whose last lost link is remembered: more than any cluster's, and bounded for one whose nodes restart for years.
MAX_LOST = 4_096


class Place(NamedTuple):
    """A link that has the place of its origin: standing, or (the judge's) promised and waiting for `begin`."""

    link: bytes
    number: int
    stands: bool


class Roster:
    """The places of one mesh. Pure: `clock` (µs since 1970) is its only source, and links are named, not held."""

    def __init__(self, origin: Origin, clock: Callable[[], int]) -> None:
        self.origin = origin
        self._clock = clock
        self._places: dict[Origin, Place] = {}
        self._newest: dict[str, Origin] = {}
        self._lost: OrderedDict[Origin, bytes] = OrderedDict()
        self._last_number = 0

    def judges(self, peer: Origin) -> bool:
        """Whether we are the one of the two whose word makes a link stand."""
        return self.origin < peer

    def decide(self, hello: Hello, link: bytes, lost: bytes, *, ours: bool) -> int | Refusal:
        """Our word about a proved peer's link: a number that lets it stand (0 when we do not judge), or a refusal.

        `ours`: we dialled it. The judge's place is promised from now on, until `stand` or `drop`. A promise yields to a
        newer dial of the peer, who has given the older up, but not to a dial of our own: that would undo at the peer
        what just came up.
        """
        newest = self._newest.get(node_of(hello.origin))
        if newest is not None and incarnation_of(newest) > incarnation_of(hello.origin):
            return Refusal(f"{ENDED}: {newest} is linked, so {hello.origin} is over", incarnation_of(newest))
        if not self.judges(hello.origin):
            return 0
        place = self._places.get(hello.origin)
        if place is not None and place.link != lost and (place.stands or ours):
            return Refusal(f"{DUPLICATE}: {hello.origin} and {self.origin} have a link already")
        self._last_number = max(self._last_number + 1, self._clock())
        self._places[hello.origin] = Place(link, self._last_number, stands=False)
        return self._last_number

    def stand(self, origin: Origin, link: bytes, number: int) -> bool:
        """A handshake came to its end: whether this link now has the place. False: a later word has it."""
        place = self._places.get(origin)
        if place is not None and place.link != link and place.number >= number:
            return False
        newest = self._newest.get(node_of(origin))
        if newest is not None and incarnation_of(newest) > incarnation_of(origin):
            self.drop(origin, link)
            return False
        self._places[origin] = Place(link, number, stands=True)
        self._newest[node_of(origin)] = origin
        return True

    def drop(self, origin: Origin, link: bytes) -> None:
        """A link is gone. Remembered as lost when it stood; no matter when another has its place by now."""
        place = self._places.get(origin)
        if place is None or place.link != link:
            return
        del self._places[origin]
        if self._newest.get(node_of(origin)) == origin:
            del self._newest[node_of(origin)]
        if place.stands:
            self._remember(origin, link)

    def lost(self, origin: Origin) -> bytes:
        """The name of the last link with a peer that stood and ended here; empty: none is known."""
        return self._lost.get(origin, b"")

    def older(self, origin: Origin) -> Origin | None:
        """The incarnation of the same node that has to make room for this one, if any is linked."""
        newest = self._newest.get(node_of(origin))
        return newest if newest is not None and newest != origin else None

    def _remember(self, origin: Origin, link: bytes) -> None:
        self._lost[origin] = link
        self._lost.move_to_end(origin)
        while len(self._lost) > MAX_LOST:
            self._lost.popitem(last=False)
