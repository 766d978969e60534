"""Names of things that are alive, as plain strings.

Law: an *origin* is one incarnation of a node, `name.incarnation`; a *pid* is one incarnation of a name on it,
`name.incarnation.serial`. Node names have no dot, so both parse from the right without doubt. No origin is ever used
twice; an incarnation is a count of milliseconds since 1970 or one more than the last one known, whichever is larger.
"""

from __future__ import annotations

import re
from functools import lru_cache

Origin = str
Pid = str

#: Sworm and node names, as they stand in URLs, queues and metrics.
SLUG = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")

#: Longest process name or group name, in characters.
MAX_NAME = 255

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class BadName(ValueError):
    """A name that the registry refuses; the message says which and why."""


def origin_of(node: str, incarnation: int) -> Origin:
    """The origin of one incarnation of a node: `n1.1763906329123`."""
    return f"{node}.{incarnation}"


def node_of(origin: Origin) -> str:
    """The node's name: what stands before the first dot."""
    return origin.partition(".")[0]


@lru_cache(maxsize=4096)
def incarnation_of(origin: Origin) -> int:
    """The incarnation's number: what stands after the node's name."""
    return int(origin.partition(".")[2])


def pid_of(origin: Origin, serial: int) -> Pid:
    """The pid of one incarnation of a name: `n1.1763906329123.17`."""
    return f"{origin}.{serial}"


def origin_of_pid(pid: Pid) -> Origin:
    """The origin that runs, or ran, a pid."""
    return pid.rpartition(".")[0]


def serial_of(pid: Pid) -> int:
    """The serial number of a pid at its origin."""
    return int(pid.rpartition(".")[2])


def is_origin(text: object) -> bool:
    """Whether a value from outside has the form of an origin."""
    if not isinstance(text, str):
        return False
    node, dot, number = text.partition(".")
    return bool(dot and SLUG.match(node) and number.isdecimal() and len(number) <= 16)


def is_pid(text: object) -> bool:
    """Whether a value from outside has the form of a pid."""
    if not isinstance(text, str):
        return False
    origin, _, serial = text.rpartition(".")
    return is_origin(origin) and serial.isascii() and serial.isdecimal() and len(serial) <= 16


def check_name(name: object, what: str = "name") -> str:
    """Return a process or group name unchanged, or raise `BadName` saying what is wrong with it."""
    if not isinstance(name, str):
        raise BadName(f"{what} must be a string, not {type(name).__name__}")
    if not name:
        raise BadName(f"{what} is empty; it needs 1 to {MAX_NAME} characters")
    if len(name) > MAX_NAME:
        raise BadName(f"{what} has {len(name)} characters; at most {MAX_NAME} are allowed")
    if _CONTROL.search(name):
        raise BadName(f"{what} has a control character, which is not allowed")
    return name


def check_slug(name: object, what: str) -> str:
    """Return a sworm's or node's name unchanged, or raise `BadName` saying what is wrong with it."""
    if not isinstance(name, str) or not SLUG.match(name):
        raise BadName(f"{what} {name!r} must match [a-z][a-z0-9_-]{{0,62}}")
    return name
