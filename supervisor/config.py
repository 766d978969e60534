"""What an agent is told at its start: flags over settings, checked.

Law: pure. A bad value is a `BadFlag` whose one line names the flag, the value and what would be right; nothing is
accepted and ignored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from registry.core.directory import ALL_SWORMS
from registry.core.ids import SLUG
from registry.core.membership import PRESETS, Timing

#: Seconds that a drain may take when nobody says otherwise: as long as common service managers wait before they kill.
DRAIN_DEADLINE = 30.0

#: Where an agent listens when nobody says otherwise: a free port that only this machine reaches.
LISTEN = "127.0.0.1:0"


class BadFlag(ValueError):
    """A flag or setting cannot work: `--capacity is 'x'; it must be …`, in one line."""

    def __init__(self, flag: str, value: object, right: str) -> None:
        super().__init__(f"{flag} is {value!r}; it must be {right}")


@dataclass(frozen=True)
class AgentConfig:
    """All that an agent is told."""

    name: str
    cluster_key: bytes
    redis_url: str = ""  #: empty: no broker, so no commands and no reports
    host: str = "127.0.0.1"
    port: int = 0  #: 0: a free one
    join: tuple[str, ...] = ()
    sworms: tuple[str, ...] = (ALL_SWORMS,)
    labels: dict[str, str] = field(default_factory=dict)
    capacity: float = 1.0
    allowed_modules: tuple[str, ...] = ("examples",)
    preset: str = "lan"
    drain_deadline: float = DRAIN_DEADLINE
    quorum_hosts: int = 1  #: how many hosts there are to be, for sworms under a quorum

    @property
    def timing(self) -> Timing:
        """The preset's times."""
        return PRESETS[self.preset]


def first_incarnation(last: int = 0) -> int:
    """The incarnation of a start now: the clock in ms, or one more than the last one known."""
    return max(int(time.time() * 1000), last + 1)


def parse_name(text: str) -> str:
    """A node's name."""
    if not SLUG.match(text):
        raise BadFlag("--name", text, "a lower-case letter, then at most 62 lower-case letters, digits, _ or -")
    return text


def parse_listen(text: str) -> tuple[str, int]:
    """HOST:PORT; a host with colons stands in brackets."""
    right = "HOST:PORT, as 127.0.0.1:7001 or [::1]:7001, where others can reach it; port 0 takes a free one"
    try:
        address = urlsplit(f"//{text}")
        host, port = address.hostname, address.port
    except ValueError:
        raise BadFlag("--listen", text, right) from None
    if not host or port is None or host in ("0.0.0.0", "::") or address.path or address.username:  # noqa: S104
        raise BadFlag("--listen", text, right)
    return host, port


def parse_join(texts: Iterable[str]) -> tuple[str, ...]:
    """Mesh URLs, in the order given, each once."""
    urls = [url.strip() for text in texts for url in text.split(",")]
    for url in urls:
        try:
            address = urlsplit(url)
            good = address.scheme in ("ws", "wss") and bool(address.hostname) and address.port != 0
        except ValueError:
            good = False
        if not good:
            raise BadFlag("--join", url, "the mesh URL of a node, as ws://127.0.0.1:7001")
    return tuple(dict.fromkeys(urls))


def parse_sworms(text: str) -> tuple[str, ...]:
    """Names of sworms with commas between; `*` alone: all."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if names == (ALL_SWORMS,):
        return names
    for name in names:
        if not SLUG.match(name):
            raise BadFlag("--sworms", text, "names of sworms with commas between, as rooms,bots; * for all")
    return names


def parse_labels(texts: Sequence[str]) -> dict[str, str]:
    """Pairs `key=value`."""
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not SLUG.match(key) or not value or len(value) > 255 or not value.isprintable():
            raise BadFlag("--label", text, "KEY=VALUE, as zone=eu-1, the key like a sworm's name")
        if key in labels:
            raise BadFlag("--label", text, f"the only one named {key}; {key}={labels[key]} was given too")
        labels[key] = value
    return labels


def parse_capacity(text: str) -> float:
    """How much of the load a node takes beside others."""
    return _number("--capacity", text, 0.0, 1e6, "a number above 0, at most 1000000; 2 takes twice the load of 1")


def parse_drain_deadline(text: str) -> float:
    """Seconds that a drain may take."""
    return _number("--drain-deadline", text, 0.0, 86_400.0, "a number of seconds above 0, at most 86400")


def _number(flag: str, text: str, above: float, most: float, right: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadFlag(flag, text, right) from None
    if not math.isfinite(value) or not above < value <= most:
        raise BadFlag(flag, text, right)
    return value


def need_cluster_key(key: bytes) -> bytes:
    """The key that all nodes of the cluster share."""
    if not key:
        raise BadFlag("SWORM_CLUSTER_KEY", "", "the key that all nodes of the cluster share, at least 32 bytes long")
    return key
