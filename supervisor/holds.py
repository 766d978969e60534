"""Keeps one node's letters to one name in order while the name moves.

Law: a hold begins when a letter came back, or when the registry shows the name elsewhere than earlier letters went. It
ends when the old place has let through or sent back everything (its mark came back), and the name was found again.
Then those that came back leave first, the held ones after them. A hold has no deadline of its own; each of its letters
has.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

from registry.core.ids import Origin, Pid, origin_of_pid, serial_of
from registry.core.names import FAILED, Located
from supervisor.errors import LinkLost, WorkerCrashed
from supervisor.finding import Key
from supervisor.letters import Own
from supervisor.workers.protocol import Letter

#: Seconds until a name that came back is looked up again: the first time, and at most.
FIRST_LOOK = 0.005
LAST_LOOK = 0.05

#: How often a letter is sent on at once where it is told to try; then it is looked up at intervals.
QUICK_LOOKS = 2


class Roads(Protocol):
    """What holds need of the router."""

    loop: asyncio.AbstractEventLoop

    def locate(self, key: Key) -> Located | None:
        """Where a name is now."""
        ...

    def transmit(self, letter: Own, pid: Pid, origin: Origin, serial: int) -> None:
        """Send a letter."""
        ...

    def forget_place(self, key: Key) -> None:
        """Nothing sent earlier is under way any more."""
        ...


class Hold:
    """The letters of one name that wait for their way."""

    __slots__ = ("attempts", "before", "hint", "mark", "marked", "newer", "returned", "timer")

    def __init__(self, before: Pid) -> None:
        self.before = before  #: where the earlier letters went
        self.mark = 0  #: number of the mark sent there; 0: none
        self.marked = False  #: it has come back
        self.hint: Pid = ""  #: where the old place says that the name is
        self.attempts = 0
        self.returned: deque[Own] = deque()
        self.newer: deque[Own] = deque()
        self.timer: asyncio.TimerHandle | None = None

    def take_back(self, letter: Own, pid: Pid) -> None:
        """A letter came back, perhaps with the place where to try."""
        letter.place = self.returned  # type: ignore[assignment]
        self.returned.append(letter)
        self.attempts = max(self.attempts, letter.attempts)
        self.hint = pid or self.hint


class Holds:
    """Every hold of a node."""

    def __init__(self, roads: Roads) -> None:
        self.roads = roads
        self.held: dict[Key, Hold] = {}

    def get(self, key: Key) -> Hold | None:
        """The hold of a name, if there is one."""
        return self.held.get(key)

    def begin(self, key: Key, before: Pid) -> Hold:
        """Hold what is sent to a name from now on."""
        hold = self.held[key] = Hold(before)
        return hold

    def keep(self, key: Key, letter: Own) -> bool:
        """Take a newer letter to a name that is held; False when it is not."""
        hold = self.held.get(key) if self.held else None
        if hold is None:
            return False
        letter.place = hold.newer  # type: ignore[assignment]
        hold.newer.append(letter)
        return True

    def marked(self, key: Key, hold: Hold) -> None:
        """The old place has let through or sent back all earlier letters."""
        hold.marked = True
        if self.held.get(key) is hold:
            self.check(key, hold)

    def marked_by(self, mark: int) -> None:
        """A mark came back from another node."""
        for key, hold in list(self.held.items()):
            if hold.mark == mark:
                self.marked(key, hold)

    def unlinked(self, origin: Origin) -> None:
        """A link is gone: nothing comes back over it any more."""
        for key, hold in list(self.held.items()):
            if not hold.marked and origin_of_pid(hold.before) == origin:
                self.marked(key, hold)

    def check(self, key: Key, hold: Hold) -> None:
        """End a hold when it may end; else look again later."""
        if not hold.marked or hold.timer is not None:
            return
        is_known = bool(hold.hint) or self._moved_on(key, hold)
        if not hold.returned or (is_known and hold.attempts <= QUICK_LOOKS):
            self._look(key, hold)
            return
        wait = min(LAST_LOOK, FIRST_LOOK * 2 ** min(hold.attempts - 1, 4))
        hold.timer = self.roads.loop.call_later(wait, self._look, key, hold)

    def _moved_on(self, key: Key, hold: Hold) -> bool:
        found = self.roads.locate(key)
        return found is not None and found.pid != hold.before

    def _look(self, key: Key, hold: Hold) -> None:
        hold.timer = None
        found = self.roads.locate(key)
        if found is None or found.pid == hold.before:
            pid = hold.hint or (found.pid if found is not None else "")
        else:
            pid = found.pid
        letters = [letter for letter in (*hold.returned, *hold.newer) if not letter.over]
        if not letters:
            self._end(key, hold)
        elif found is not None and found.entry.state == FAILED:
            self._end(key, hold)
            for letter in letters:
                letter.fail(WorkerCrashed(f"{key[1]!r} has failed and is not restarted any more"))
        elif not pid:
            hold.timer = self.roads.loop.call_later(LAST_LOOK, self._look, key, hold)
        else:
            self._release(key, hold, letters, pid)

    def _release(self, key: Key, hold: Hold, letters: list[Own], pid: Pid) -> None:
        self._end(key, hold)
        origin, serial = origin_of_pid(pid), serial_of(pid)
        for letter in letters:
            letter.place = None
            if not self.keep(key, letter):  # the first may have come back already
                self.roads.transmit(letter, pid, origin, serial)

    def _end(self, key: Key, hold: Hold) -> None:
        self.held.pop(key, None)
        self.roads.forget_place(key)
        if hold.timer is not None:
            hold.timer.cancel()
            hold.timer = None

    def close(self) -> None:
        """Fail whatever is held."""
        for key, hold in list(self.held.items()):
            self._end(key, hold)
            for letter in (*hold.returned, *hold.newer):
                letter.fail(LinkLost("this node is leaving"))


class OwnMark(Letter):
    """A mark in the queue of a worker of this agent."""

    __slots__ = ("hold", "holds", "key")

    is_marker = True

    def __init__(self, holds: Holds, key: Key, hold: Hold) -> None:
        super().__init__(None)
        self.holds = holds
        self.key = key
        self.hold = hold

    def reply(self, value: Any) -> None:
        """See `Letter.reply`."""
        self.holds.marked(self.key, self.hold)

    def bounce(self, pid: Pid) -> None:
        """See `Letter.bounce`."""
        self.holds.marked(self.key, self.hold)
