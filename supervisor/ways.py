"""Calls between two nodes without a direct link: over the call lane of the one node that relays for them.

Law: to the router a way is a link: it comes up, carries messages in order, and goes down once, when its calls end in
`LinkLost`. One hop: `Pass` goes over a direct link, and on over a direct link as `Passed`. Who is reached by whom is
the core's word (`Detour`); nothing is relayed without it but answers, and nobody asks here while there is no detour:
then the router uses its mesh directly. A way begins when the far end has answered `Way`, and by then has let go of any
link that only it believed in; it ends, once a direct link stands, when the far end has answered another `Way`, and what
was sent meanwhile leaves after that: so nothing is overtaken.

    state     event                              then
    -         the router dials, a detour stands  `Way` to the far end; opening
    opening   `WayDone`                          the router's link is up; standing
    opening   no answer, or no relay             the router's dial has failed
    standing  a direct link is up                `Way`; closing: what is sent waits
    standing  the relay is gone, or cannot       the router's link is down
    closing   `WayDone`, or no relay any more    what waits leaves over the direct link
    closing   the direct link is down            what waits leaves over the way; standing
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from registry.core.ids import Origin
from registry.mesh.protocol import AGENT, CALLS, LOST, PROTOCOL_VERSION, TIMEOUT, Hello, Mesh, Message
from supervisor.calls import Router
from supervisor.lane import NotPassed, Pass, Passed, Way, WayDone
from supervisor.passing import LETTERS, Directory, Passing

log = logging.getLogger("supervisor.ways")

OPENING, STANDING, CLOSING = "opening", "standing", "closing"

#: Seconds that the far end of a way, or of a link whose node is reached by a relay only, may take to answer.
PATIENCE = 1.0


class Road:
    """A way to one far end."""

    __slots__ = ("asked", "queue", "relay", "state", "timer")

    def __init__(self, relay: Origin, state: str) -> None:
        self.relay = relay
        self.state = state
        self.asked = 0  #: number of the `Way` that is not answered yet
        self.queue: deque[Message] = deque()  #: closing: what was sent since
        self.timer: asyncio.TimerHandle | None = None


class Ways:
    """The handler of the call lane's mesh, between it and the router; and the router's mesh while it is needed."""

    def __init__(self, router: Router, directory: Directory) -> None:
        """Made on the workers' loop."""
        self.router = router
        self.received: Callable[[Origin, Any], None] = router.received  #: Handler: calls never pass through here
        self.onward: Callable[[Origin, Any], None] = router.forward  #: who takes what is neither a call nor relayed
        router.forward = self.forward
        self.roads: dict[Origin, Road] = {}
        self.relays: dict[Origin, Origin] = {}  #: far end -> relay, as the core has it
        self._directory = directory
        self._loop = router.loop
        self._linked: set[Origin] = set()  #: direct links
        self.passing = Passing(router.origin, directory, self._linked)
        self._probes: dict[Origin, tuple[int, asyncio.TimerHandle]] = {}  #: links that may carry nothing any more
        self._number = 0
        self._taken: dict[type[Any], Callable[[Origin, Any], None]] = {
            Pass: self.passing.hand_on,
            Passed: self._arrived,
            NotPassed: self._not_passed,
            Way: self._way_asked,
            WayDone: self._probed,
        }

    def attach(self, mesh: Mesh) -> None:
        """Use this mesh, made with this as its handler."""
        self._mesh = self.passing.mesh = mesh
        self._lead()

    def _lead(self) -> None:
        """The router asks here only while there is a reason to."""
        self.router.attach(self if self.roads or self.relays else self._mesh)

    def _tell(self, origin: Origin, message: Message) -> bool:
        return self._mesh.send(origin, message)

    # ------------------------------------------------------------------------------------------ for the router (Mesh)

    def send(self, origin: Origin, message: Message) -> bool:
        """See `Mesh.send`."""
        road = self.roads.get(origin)
        if road is None:
            return self._mesh.send(origin, message)
        if road.state is CLOSING:
            road.queue.append(message)
            return True
        return road.state is STANDING and self._tell(road.relay, Pass(origin, message))

    def connect(self, url: str, origin: Origin) -> None:
        """See `Mesh.connect`."""
        relay = self.relays.get(origin)
        if relay is None or origin in self._linked:
            self._mesh.connect(url, origin)
        elif origin not in self.roads:
            self._open(origin, relay)

    # ----------------------------------------------------------------------------------------------------- the detour

    def detour(self, origin: Origin, relay: Origin) -> None:
        """The core reaches a node through this relay from now on; empty: directly, or not at all."""
        road = self.roads.get(origin)
        if not relay:
            self.relays.pop(origin, None)
            self._end_probe(origin)
            if road is not None and (url := self._directory.call_url(origin)):
                self._mesh.connect(url, origin)
        else:
            self.relays[origin] = relay
            if road is not None and road.relay != relay:
                self._lost(origin, f"{LOST}: it is reached through {relay} now")
            if origin in self._linked:
                self._probe(origin)
            elif origin in self.router.dialling and origin not in self.roads:
                self._open(origin, relay)
        self._lead()

    def _open(self, far: Origin, relay: Origin) -> None:
        road = self.roads[far] = Road(relay, OPENING)
        self._patience(far, road)
        if relay in self._linked:
            self._ask(far, road, opens=True)
        elif url := self._directory.call_url(relay):
            self._mesh.connect(url, relay)

    def _ask(self, far: Origin, road: Road, *, opens: bool) -> None:
        self._number += 1
        road.asked = self._number
        self._tell(road.relay, Pass(far, Way(road.asked, opens)))

    def _patience(self, far: Origin, road: Road) -> None:
        reason = f"{TIMEOUT}: no answer by way of {road.relay} within {PATIENCE:g} s"
        road.timer = self._loop.call_later(PATIENCE, self._lost, far, reason)

    def _settle(self, far: Origin) -> Road:
        """A road is over: forget it."""
        road = self.roads.pop(far)
        if road.timer is not None:
            road.timer.cancel()
        return road

    def _stand(self, far: Origin, relay: Origin) -> None:
        """A road stands from now on."""
        old = self.roads.get(far)
        if old is not None and old.timer is not None:
            old.timer.cancel()
        road = self.roads[far] = Road(relay, STANDING)
        self._lead()
        if old is None or old.state is OPENING:
            self.router.link_up(far, Hello(PROTOCOL_VERSION, far, AGENT, CALLS, 0, ""))
        for message in old.queue if old is not None else ():
            self._tell(road.relay, Pass(far, message))

    def _lost(self, far: Origin, reason: str) -> None:
        """The relay, or its link, is gone: what is under way has no answer."""
        road = self._settle(far)
        self._lead()
        if road.state is OPENING:
            self.router.connect_failed("", far, False, reason, None)
        elif road.state is STANDING:
            self.router.link_down(far, reason)
        else:
            self._finish(far, road)

    def _finish(self, far: Origin, road: Road) -> None:
        for message in road.queue:
            self._tell(far, message)

    # ------------------------------------------------------------------------------------------------------ the probe

    def _probe(self, origin: Origin) -> None:
        """Its registry link carries nothing: ask whether this one does, as long as that is so."""
        self._end_probe(origin)
        self._number += 1
        self._probes[origin] = (self._number, self._loop.call_later(PATIENCE, self._silent, origin))
        self._tell(origin, Way(self._number, opens=False))

    def _way_asked(self, origin: Origin, way: Way) -> None:
        self._tell(origin, WayDone(way.id))

    def _probed(self, origin: Origin, done: WayDone) -> None:
        number, timer = self._probes.get(origin, (0, None))
        if number == done.id and timer is not None:
            timer.cancel()
            self._probes[origin] = (0, self._loop.call_later(PATIENCE, self._probe, origin))

    def _silent(self, origin: Origin) -> None:
        self._end_probe(origin)
        self._mesh.disconnect(origin, "silent, and reached by a relay")

    def _end_probe(self, origin: Origin) -> None:
        found = self._probes.pop(origin, None)
        if found is not None:
            found[1].cancel()

    # ------------------------------------------------------------------------------------------- the mesh's own events

    def link_up(self, origin: Origin, hello: Hello) -> None:
        """Handler: a direct link stands."""
        self._linked.add(origin)
        self.passing.link_up(origin)
        for far, road in list(self.roads.items()):
            if road.relay == origin and road.state is OPENING:
                self._ask(far, road, opens=True)
        own = self.roads.get(origin)
        if own is not None and own.state is STANDING:
            own.state = CLOSING
            self._patience(origin, own)
            self._ask(origin, own, opens=False)
            return
        if own is not None:
            self._settle(origin)
            self._lead()
        self.router.link_up(origin, hello)

    def link_down(self, origin: Origin, reason: str) -> None:
        """Handler: a direct link is gone, and with it the ways that led over it."""
        self._linked.discard(origin)
        self._end_probe(origin)
        self.passing.link_down(origin, reason)
        for far in [far for far, road in self.roads.items() if road.relay == origin]:
            self._lost(far, reason)
        road = self.roads.get(origin)
        if road is None:
            self.router.link_down(origin, reason)
        elif road.state is CLOSING:
            self._stand(origin, road.relay)

    def connect_failed(
        self, url: str, origin: Origin | None, refused: bool, reason: str, last_incarnation: int | None
    ) -> None:
        """Handler: nobody was reached."""
        if origin is not None:
            self.passing.connect_failed(origin, reason)
            for far in [f for f, road in self.roads.items() if road.relay == origin and road.state is OPENING]:
                self._lost(far, reason)
            if origin in self.roads:
                if origin not in self.relays:  # the core does not reach it either, or by its own link only
                    self._lost(origin, reason)
                return
        self.router.connect_failed(url, origin, refused, reason, last_incarnation)

    def message_refused(self, origin: Origin, reason: str) -> None:
        """Handler: a message was dropped."""
        self.router.message_refused(origin, reason)

    def peer_refused(self, address: str, origin: Origin | None, reason: str) -> None:
        """Handler: somebody who dialled us was turned away."""
        self.router.peer_refused(address, origin, reason)

    # ------------------------------------------------------------------------------------------------------- messages

    def forward(self, origin: Origin, message: Any) -> None:
        """For the router: a message that is none of its own."""
        take = self._taken.get(type(message), self.onward)
        take(origin, message)

    def _arrived(self, relay: Origin, passed: Passed) -> None:
        """Something came by way of a relay."""
        source, message = passed
        if type(message) not in LETTERS or source in (relay, self.router.origin) or not self._knows(source):
            log.warning("refused a %s that %s relayed from %r", type(message).__name__, relay, source)
        elif isinstance(message, WayDone):
            self._answered(source, relay, message)
        else:
            self._is_on_its_way(source, relay, isinstance(message, Way) and message.opens)
            if isinstance(message, Way):
                self._tell(relay, Pass(source, WayDone(message.id)))
            else:
                self.received(source, message)

    def _knows(self, source: Origin) -> bool:
        return bool(self._directory.call_url(source))

    def _is_on_its_way(self, source: Origin, relay: Origin, opens: bool) -> None:
        """The far end uses a relay, so this end does; `opens`: it has no link to us, whatever we believe."""
        road = self.roads.get(source)
        if opens and source in self._linked:
            reason = f"{LOST}: {source} has no link to {self.router.origin} any more"
            self._mesh.disconnect(source, reason)
            self._linked.discard(source)
            self._end_probe(source)
            if road is None:
                self.router.link_down(source, reason)
        if source not in self._linked and (road is None or road.state is not STANDING):
            self._stand(source, relay)

    def _answered(self, far: Origin, relay: Origin, done: WayDone) -> None:
        """The far end has taken all that was sent before."""
        road = self.roads.get(far)
        if road is None or road.asked != done.id or road.relay != relay:
            return
        if road.state is OPENING:
            self._stand(far, relay)
        elif road.state is CLOSING:
            self._finish(far, self._settle(far))
            self._lead()

    def _not_passed(self, relay: Origin, answer: NotPassed) -> None:
        road = self.roads.get(answer.to)
        if road is not None and road.relay == relay:
            self._lost(answer.to, f"{LOST}: {relay} does not relay: {answer.reason}")

    def close(self) -> None:
        """End every timer: the agent is leaving."""
        for road in self.roads.values():
            if road.timer is not None:
                road.timer.cancel()
        for origin in list(self._probes):
            self._end_probe(origin)
