"""Routes calls and casts of this agent's callers: to a worker of its own, or over the call lane to the name's node.

Law: everything here happens on the workers' loop. Each call ends in a reply or an error within its time-out; a cast
runs at most once. What one node sends to one name is handled in the order sent, moves included: a letter is sent again
only when it came back unhandled, and while the earlier ones may still come back, the later ones are held (`holds`). A
call whose link broke is not sent again, because it may have run: it ends in `LinkLost`.
"""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Protocol

from registry.core.ids import Origin, Pid, origin_of_pid, pid_of, serial_of
from registry.core.names import Located
from registry.mesh.protocol import Hello
from supervisor.arrivals import Arrivals
from supervisor.deadlines import Deadlines
from supervisor.errors import BadValue, CallTimeout, Deadlock, LinkLost, from_code
from supervisor.finding import Key, Registry, find, locate
from supervisor.holds import Holds, OwnMark
from supervisor.lane import Bounced, Call, Cast, CastBounced, Failed, Mark, Marked, Replied
from supervisor.letters import Incoming, Own, OwnCall, OwnCast
from supervisor.linger import Linger
from supervisor.workers.executor import Workers
from supervisor.workers.protocol import LATER
from supervisor.workers.values import MAX_MESSAGE, copied, pack, unpack

log = logging.getLogger("supervisor.calls")

#: Names whose last place is remembered, so that a move of one is noticed. Beyond it the oldest half is forgotten:
#: nothing sent to those can still be under way.
MAX_PLACES = 100_000

#: Seconds that a cast which came back is kept while its name is looked for.
CAST_PATIENCE = 5.0


_RETURNS = (Failed, Bounced, CastBounced, Mark, Marked)


def _nobody(origin: Origin, message: Any) -> None:
    return None


class Links(Protocol):
    """What the router asks of a mesh."""

    def send(self, origin: Origin, message: tuple[Any, ...], /) -> bool:
        """See `Mesh.send`."""

    def connect(self, url: str, origin: Origin, /) -> None:
        """See `Mesh.connect`."""


class Router:
    """The calls and casts of one agent. It is the handler of the mesh of lane "calls"."""

    def __init__(self, origin: Origin, registry: Registry, workers: Workers) -> None:
        self.origin = origin
        self.registry = registry
        self.workers = workers
        self.loop = workers.loop
        self.mesh: Links | None = None
        self.deadlines = Deadlines(self.loop)
        self.places: dict[Key, Pid] = {}  #: where this node's letters to a name went last
        self.pending: dict[int, OwnCall] = {}  #: calls under way to other nodes
        self.dialling: dict[Origin, deque[Own]] = {}  #: letters that wait for a link
        self.linked: set[Origin] = set()
        self.holds = Holds(self)
        self.arrivals = Arrivals(self, workers, self.deadlines)
        self.next_id = 0
        self.linger = Linger(self.loop)
        self.cast_patience = CAST_PATIENCE
        self.forward: Callable[[Origin, Any], None] = _nobody  #: who takes what is no message of calls

    def attach(self, mesh: Links) -> None:
        """Use this mesh, or what stands for it; this router is its handler."""
        self.mesh = mesh

    # --------------------------------------------------------------------------------------------------------- verbs

    async def call(self, sworm: str, name: str, message: Any, timeout: float) -> Any:
        """Send a message and wait for the reply, at most `timeout` seconds.

        Raises `NotRegistered`, `CallTimeout`, `WorkerCrashed`, `LinkLost`, `Deadlock` or `BadValue`.
        """
        found = find(self.registry, sworm, name)
        message = copied(message)
        if found.origin == self.origin and not (self.places and (sworm, name) in self.places):
            reply = self.workers.handle(found.entry.serial, message)
            if reply is not LATER:
                return await self._within(reply, timeout) if isinstance(reply, asyncio.Future) else reply
        self._check_deadlock(found)
        letter = OwnCall(self, sworm, name, message, self.loop.create_future())
        self.deadlines.add(letter, timeout)
        self._route(letter, found)
        try:
            return await letter.future
        finally:
            if not letter.over:  # the caller was cancelled
                letter.abandon()
                self.ended(letter)

    def cast(self, sworm: str, name: str, message: Any) -> None:
        """Send a message at most once. Raises `NotRegistered` or `BadValue`."""
        found = find(self.registry, sworm, name)
        self._route(OwnCast(self, sworm, name, copied(message)), found)

    async def _within(self, future: asyncio.Future[Any], timeout: float) -> Any:
        done, _ = await asyncio.wait({future}, timeout=timeout)
        if not done:
            future.cancel()
            raise CallTimeout
        return future.result()

    def _check_deadlock(self, found: Located) -> None:
        if found.origin == self.origin and self.workers.is_handler_of(found.entry.serial, asyncio.current_task()):
            raise Deadlock

    # --------------------------------------------------------------------------------------------------------- route

    def _route(self, letter: Own, found: Located) -> None:
        """Send a letter where its name is, or hold it while earlier ones may come back."""
        key = (letter.sworm, letter.name)
        if self.holds.keep(key, letter):
            return
        if not found.origin:
            self._await_restore(key, letter, found)
            return
        before = self.places.get(key)
        if before == found.pid and found.origin in self.linked:
            letter.sent_to, letter.serial = found.origin, found.entry.serial
            self._send_letter(letter)
        elif before is not None and before != found.pid:
            self.holds.begin(key, before)
            self.holds.keep(key, letter)
            self._mark(key, before)
        else:
            self.transmit(letter, found.pid, found.origin, found.entry.serial)

    def _await_restore(self, key: Key, letter: Own, found: Located) -> None:
        """Hold a letter to a name whose node departed, until the name is back or the letter too old."""
        if not letter.due_slot:
            self.deadlines.add(letter, self.cast_patience)
        letter.attempts += 1
        self._remember(key, found.pid)  # what is sent later stays behind this one
        hold = self.holds.begin(key, found.pid)
        hold.marked = True
        hold.take_back(letter, "")
        self.holds.check(key, hold)

    def transmit(self, letter: Own, pid: Pid, origin: Origin, serial: int) -> None:
        """Send a letter to a pid, whatever is held."""
        letter.sent_to, letter.serial = origin, serial
        if origin == self.origin:
            self._deliver(letter, pid)
            return
        self._remember((letter.sworm, letter.name), pid)
        if origin in self.linked:
            self._send_letter(letter)
        else:
            self._dial(letter)

    def _deliver(self, letter: Own, pid: Pid) -> None:
        self.workers.deliver(letter.serial, letter)
        if not letter.over and letter.place is not None:
            self._remember((letter.sworm, letter.name), pid)  # it waits: it may yet come back
        elif self.places.get((letter.sworm, letter.name)) == pid:
            del self.places[letter.sworm, letter.name]

    def _remember(self, key: Key, pid: Pid) -> None:
        if self.places.get(key) == pid:
            return
        self.places[key] = pid
        if len(self.places) > MAX_PLACES:
            for old in list(islice(self.places, MAX_PLACES // 2)):
                del self.places[old]

    def _send_letter(self, letter: Own) -> None:
        self.next_id += 1
        letter.id = self.next_id
        body = pack(letter.message)
        if len(body) > MAX_MESSAGE:
            letter.fail(BadValue(f"the message has {len(body)} bytes; at most {MAX_MESSAGE} travel"))
            return
        if isinstance(letter, OwnCall):
            self.pending[letter.id] = letter
            left = max(1, letter.due_slot - int(self.loop.time() * 1_000))
            sent = self.send(letter.sent_to, Call(letter.id, letter.sworm, letter.name, letter.serial, left, body))
            if not sent:
                letter.fail(LinkLost())
            return
        if self.send(letter.sent_to, Cast(letter.id, letter.sworm, letter.name, letter.serial, body)):
            letter.reply(None)  # whether it arrives is not asked
        else:
            letter.fail(LinkLost())

    def send(self, origin: Origin, message: tuple[Any, ...]) -> bool:
        """Post: send a message of the lane; False when there is no link, or it is too large."""
        self.linger.sent()
        return self.mesh is not None and self.mesh.send(origin, message)

    def _dial(self, letter: Own) -> None:
        origin = letter.sent_to
        waiting = self.dialling.get(origin)
        if waiting is not None:
            letter.place = waiting  # type: ignore[assignment]
            waiting.append(letter)
            return
        url = self.registry.call_url(origin)
        if not url or self.mesh is None:
            self.bounced(letter, "")
            return
        self.dialling[origin] = waiting = deque([letter])
        letter.place = waiting  # type: ignore[assignment]
        self.mesh.connect(url, origin)

    # --------------------------------------------------------------------------------------------- ends, and no ends

    def ended(self, letter: Own) -> None:
        """Post: forget a letter that has its end."""
        if letter.due_slot:
            self.deadlines.discard(letter)
        self.pending.pop(letter.id, None)
        if isinstance(letter, OwnCast) and letter.failed is not None:
            log.warning("a cast to %s/%s was dropped: %s", letter.sworm, letter.name, letter.failed)

    def settled(self, letter: Incoming) -> None:
        """Post: a call of a peer has its end."""
        self.deadlines.discard(letter)

    def bounced(self, letter: Own, pid: Pid) -> None:
        """Post: a letter was not handled where it went; it is sent again, in order."""
        self.pending.pop(letter.id, None)
        if letter.over:
            return
        key = (letter.sworm, letter.name)
        before = pid_of(letter.sent_to, letter.serial)
        if not letter.due_slot:
            self.deadlines.add(letter, self.cast_patience)
        letter.attempts += 1
        was_remote = letter.sent_to != self.origin
        letter.sent_to = ""
        hold, is_new = self.holds.get(key), False
        if hold is None:
            hold, is_new = self.holds.begin(key, before), True
            hold.marked = not was_remote
        hold.take_back(letter, pid)
        if is_new and was_remote:
            self._mark(key, before)
        else:
            self.holds.check(key, hold)

    def _mark(self, key: Key, before: Pid) -> None:
        """Ask the place where earlier letters went to tell when all of them have passed, or come back."""
        origin = origin_of_pid(before)
        hold = self.holds.get(key)
        assert hold is not None
        if origin == self.origin:
            self.workers.deliver(serial_of(before), OwnMark(self.holds, key, hold))
            return
        self.next_id += 1
        hold.mark = self.next_id
        if origin not in self.linked or not self.send(origin, Mark(hold.mark, serial_of(before))):
            self.holds.marked(key, hold)

    def locate(self, key: Key) -> Located | None:
        """For holds: where a name is now."""
        return locate(self.registry, key)

    def forget_place(self, key: Key) -> None:
        """For holds: what was sent earlier has all passed or come back."""
        self.places.pop(key, None)

    # ---------------------------------------------------------------------------------------------- the mesh's handler

    def link_up(self, origin: Origin, hello: Hello) -> None:
        """Handler: letters that waited for this link leave."""
        self.linked.add(origin)
        for letter in self.dialling.pop(origin, ()):
            letter.place = None
            if not letter.over:
                self._send_letter(letter)

    def link_down(self, origin: Origin, reason: str) -> None:
        """Handler: calls under way over this link have no answer any more."""
        self.linked.discard(origin)
        for letter in [letter for letter in self.pending.values() if letter.sent_to == origin]:
            letter.fail(LinkLost(f"the link to {origin} broke ({reason}); the message may have been handled"))
        self.holds.unlinked(origin)

    def connect_failed(
        self, url: str, origin: Origin | None, refused: bool, reason: str, last_incarnation: int | None
    ) -> None:
        """Handler: nothing was sent, so the letters are looked up again."""
        if origin is None or origin in self.linked:
            return
        for letter in self.dialling.pop(origin, ()):
            letter.place = None
            self.bounced(letter, "")

    def message_refused(self, origin: Origin, reason: str) -> None:
        """Handler: a message was dropped."""
        log.warning("a message to or from %s was dropped: %s", origin, reason)

    def peer_refused(self, address: str, origin: Origin | None, reason: str) -> None:
        """Handler: somebody who dialled us was turned away."""
        log.warning("%s (%s) was refused: %s", address, origin or "unknown", reason)

    def received(self, origin: Origin, message: tuple[Any, ...]) -> None:
        """Handler: a message of a peer."""
        if isinstance(message, Call):
            self.arrivals.called(origin, message)
        elif isinstance(message, Replied):
            letter = self.pending.pop(message.id, None)
            if letter is not None:
                letter.reply(unpack(message.reply))
        elif isinstance(message, Cast):
            self.arrivals.was_cast(origin, message)
        elif isinstance(message, _RETURNS):
            self._returned(origin, message)
        else:
            self.forward(origin, message)

    def _returned(self, origin: Origin, message: tuple[Any, ...]) -> None:
        if isinstance(message, Failed):
            letter = self.pending.pop(message.id, None)
            if letter is not None:
                letter.fail(from_code(message.code, message.detail))
        elif isinstance(message, Bounced):
            letter = self.pending.pop(message.id, None)
            if letter is not None:
                self.bounced(letter, message.pid)
        elif isinstance(message, CastBounced):
            self._cast_returned(origin, message)
        elif isinstance(message, Mark):
            self.arrivals.asked(origin, message)
        elif isinstance(message, Marked):
            self.holds.marked_by(message.id)

    def _cast_returned(self, origin: Origin, message: CastBounced) -> None:
        letter = OwnCast(self, message.sworm, message.name, unpack(message.message))
        letter.sent_to, letter.serial = origin, message.serial
        self.bounced(letter, message.pid)

    def close(self) -> None:
        """End every call that still waits: the agent is leaving."""
        self.holds.close()
        waiting: Iterable[Own] = [*self.pending.values(), *(one for queue in self.dialling.values() for one in queue)]
        for letter in waiting:
            letter.fail(LinkLost("this node is leaving; the message may have been handled"))
        self.dialling.clear()
        self.deadlines.close()
