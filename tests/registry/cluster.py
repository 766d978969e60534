"""A few members in one process, on a clock of their own, with perfect links: enough to have something to observe."""

from __future__ import annotations

from collections import deque
from typing import Any

from registry.core.events import Connect, Joined, LinkDown, LinkRefused, LinkUp, Received, Report, Send, Ticked, Wake
from registry.core.member import Member, MemberConfig
from registry.core.membership import PRESETS
from registry.core.names import Registration


class Cluster:
    """Members by origin. Every message arrives at once, in order; time passes only by `after`."""

    def __init__(self, *origins: str, observer: str = "observer.1") -> None:
        self.now = 1_763_906_329.0
        self.observer = observer
        self.members: dict[str, Member] = {}
        self.links: set[frozenset[str]] = set()
        self.reports: list[Report] = []
        self.under_way: deque[tuple[str, Any]] = deque()
        for origin in (*origins, observer):
            self.add(origin, link=False)

    def add(self, origin: str, link: bool = True) -> Member:
        config = MemberConfig(PRESETS["local"], url=f"memory://{origin}", observing=origin == self.observer)
        self.members[origin] = Member(origin, config, self.now)
        if link:
            self.link(origin)
        return self.members[origin]

    @property
    def seen(self) -> Member:
        """The observer's member."""
        return self.members[self.observer]

    def link(self, *origins: str) -> None:
        """Link these to everybody, and let all of them join."""
        for origin in origins:
            for other in self.members:
                if other != origin and frozenset((origin, other)) not in self.links:
                    self.links.add(frozenset((origin, other)))
                    self.under_way += [(origin, LinkUp(other)), (other, LinkUp(origin))]
                    self.deliver()
        for origin in origins:
            self.step(origin, Joined())
        self.after(0.0)

    def step(self, origin: str, event: Any) -> None:
        self.under_way.append((origin, event))
        self.deliver()

    def deliver(self) -> None:
        """Let everybody take what is under way, and what comes of it."""
        while self.under_way:
            origin, event = self.under_way.popleft()
            if origin in self.members:
                self._take(origin, event)

    def _take(self, origin: str, event: Any) -> None:
        self.now += 1e-6  # as real clocks do
        for effect in self.members[origin].step(event, self.now):
            if isinstance(effect, Send) and frozenset((origin, effect.to)) in self.links:
                self.under_way.append((effect.to, Received(origin, effect.message)))
            elif isinstance(effect, Wake) and effect.at <= self.now:
                self.under_way.append((origin, Ticked()))
            elif isinstance(effect, Connect) and effect.origin not in self.members:
                self.under_way.append((origin, LinkRefused(effect.origin, True, "unreachable")))
            elif isinstance(effect, Report):
                self.reports.append(effect)

    def after(self, seconds: float) -> None:
        """Let time pass, a tick at a time."""
        until = self.now + seconds
        while True:
            for origin in list(self.members):
                self.step(origin, Ticked())
            if self.now >= until:
                return
            self.now = min(until, self.now + 0.07)

    def write(self, origin: str, sworm: str, changes: dict[str, Registration | None]) -> int:
        """A change set at an agent, seen by all."""
        version = self.members[origin].write(sworm, changes)
        self.step(origin, Ticked())
        return version

    def crash(self, origin: str) -> None:
        """A member is gone: its links break."""
        del self.members[origin]
        for link in [link for link in self.links if origin in link]:
            self.links.discard(link)
            for other in link - {origin}:
                self.step(other, LinkDown(origin, "lost"))
