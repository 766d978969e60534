"""A few members over ordered links, with a clock that tests move: a soup that is stirred by hand.

Law: real members, nothing of them replaced; what is under way arrives in order, or is lost with its link.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from registry.core.events import (
    Connect,
    Disconnect,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    Received,
    Report,
    Send,
    Ticked,
    Wake,
)
from registry.core.ids import node_of
from registry.core.member import FOREVER, Member, MemberConfig
from registry.core.membership import PRESETS

LAN = PRESETS["lan"]
SWORM = "rooms"


@dataclass
class Soup:
    """Members with ordered links; a blocked pair has none."""

    now: float = 1_700_000_000.0
    members: dict[str, Member] = field(default_factory=dict)
    links: dict[tuple[str, str], deque[Any]] = field(default_factory=dict)
    blocked: set[frozenset[str]] = field(default_factory=set)
    wake: dict[str, float] = field(default_factory=dict)
    reports: list[tuple[str, str, str]] = field(default_factory=list)

    def start(self, *origins: str, **config: Any) -> None:
        for origin in origins:
            url = f"ws://{node_of(origin)}"
            self.members[origin] = Member(origin, MemberConfig(**({"timing": LAN, "url": url} | config)), self.now)
            self.wake[origin] = self.now
            for other in list(self.members):
                if other != origin:
                    self.connect(origin, other)
            self.step(origin, Joined())
        self.settle()

    def crash(self, origin: str) -> None:
        del self.members[origin], self.wake[origin]
        for one, other in [pair for pair in self.links if origin in pair]:
            del self.links[one, other]
            if other == origin:
                self.step(one, LinkDown(origin, "closed"))

    def block(self, one: str, other: str) -> None:
        self.blocked.add(frozenset({one, other}))
        for here, there in ((one, other), (other, one)):
            if self.links.pop((here, there), None) is not None:
                self.step(here, LinkDown(there, "closed"))

    def connect(self, one: str, other: str) -> None:
        reachable = other in self.members and frozenset({one, other}) not in self.blocked
        if not reachable:
            self.step(one, LinkRefused(other, other not in self.members, "no answer"))
        elif (one, other) not in self.links and not self.members[other].admit(one):
            self.links[one, other], self.links[other, one] = deque(), deque()
            self.step(one, LinkUp(other))
            self.step(other, LinkUp(one))

    def step(self, origin: str, event: Any) -> None:
        for effect in self.members[origin].step(event, self.now):
            match effect:
                case Send(to, message) if (origin, to) in self.links:
                    self.links[origin, to].append(Received(origin, message))
                case Connect(other):
                    self.connect(origin, other)
                case Disconnect(other):
                    for pair in ((origin, other), (other, origin)):
                        if self.links.pop(pair, None) is not None and pair[0] in self.members:
                            self.step(pair[0], LinkDown(pair[1], "closed"))
                case Wake(at):
                    self.wake[origin] = min(self.wake[origin], at)
                case Report():
                    self.reports.append((origin, effect.kind, effect.node))

    def settle(self) -> None:
        for _ in range(20_000):
            due = [o for o in sorted(self.wake) if self.wake[o] <= self.now]
            full = [pair for pair in sorted(self.links) if self.links[pair]]
            if due:
                self.wake[due[0]] = FOREVER
                self.step(due[0], Ticked())
            elif full:
                self.step(full[0][1], self.links[full[0]].popleft())
            else:
                return
        raise AssertionError("the members do not come to rest")

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        self.settle()
        while (soonest := min(self.wake.values())) <= end:
            self.now = max(self.now, soonest)
            self.settle()
        self.now = end

    def states(self, origin: str) -> dict[str, str]:
        return {info.origin: info.state for info in self.members[origin].members()}

    def check_equal(self) -> None:
        """views-agree and copy-is-map, once all is quiet."""
        first, *others = self.members.values()
        for other in others:
            assert other.view == first.view
            for sworm in first.replicas.keys() | other.replicas.keys():
                one, two = first.replica(sworm), other.replica(sworm)
                assert one.versions() == two.versions()
                for origin in one.versions():
                    assert one.copy(origin).entries == two.copy(origin).entries
        assert all(member.ready for member in self.members.values() if not member.config.observing)
