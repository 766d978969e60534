"""What an origin's map says about names, and how two claims to one name rank.

Law: only the host of a process writes its registration. Two origins that claim one name stand side by side until the
lower-ranked removes its own; nothing here ever removes an entry. Rank is (authorised in a majority view, epoch,
origin), never the time of a change.
"""

from __future__ import annotations

from typing import NamedTuple

from registry.core.ids import Origin, Pid, pid_of

# Keys of an origin's map. A bare string is a process name; everything else is a tuple that starts with its kind.
Key = str | tuple[str, ...]

GROUP = "group"  #: ("group", group, pid) -> name of the member
GONE = "gone"  #: ("gone", name) -> the epoch up to which every entry of this name is void

# States of a registration, as REST shows them.
STARTING = "starting"
RUNNING = "running"
HANDING_OFF = "handing_off"
RESTARTING = "restarting"
FAILED = "failed"
MOVED = "moved"  #: committed to another node (`to`); shown as handing_off until that node opens
STATES = (STARTING, RUNNING, HANDING_OFF, RESTARTING, FAILED, MOVED)


class Spec(NamedTuple):
    """What runs under a name. Arguments stay encoded: the registry carries them and never looks inside."""

    target: str  #: "module:identifier"
    args: bytes = b""  #: MessagePack of [list of positional arguments, dict of keyword arguments]; empty: none
    isolation: str = "task"  #: "task" or "process"
    meta: bytes = b""  #: MessagePack of the caller's own dict; empty: none


class Registration(NamedTuple):
    """The value under a name in its host's map. Together with the origin it names one incarnation of the process."""

    serial: int  #: with the origin it makes the pid
    epoch: int  #: grows with each incarnation of the name; the worker's fencing token
    claim: str  #: id of the claim that started it; repeating the claim finds this
    state: str
    majority: int  #: 1 when authorised in a view that held a majority of the last agreed hosts
    restarts: int
    started_at: int  #: ms since 1970, by the host's clock; for people only, nothing is decided by it
    spec: Spec | None
    to: Origin = ""  #: where a committed move goes
    of: str = ""  #: a further name: the own name of the process in this sworm; without spec and `of`: a guest's name


class Further(NamedTuple):
    """A further name of a process, as its host keeps it and a handoff carries it."""

    name: str
    epoch: int
    claim: str  #: id of the claim that gave it
    majority: int  #: as in `Registration`


class Rank(NamedTuple):
    """Order of two claims to one name; the larger one wins."""

    majority: int
    epoch: int
    origin: Origin


def rank(origin: Origin, entry: Registration) -> Rank:
    """The rank of an entry at its origin."""
    return Rank(entry.majority, entry.epoch, origin)


class Located(NamedTuple):
    """A registration and where it stands: what a lookup returns."""

    pid: Pid
    origin: Origin
    entry: Registration


def located(origin: Origin, entry: Registration) -> Located:
    """Put a registration together with its origin."""
    return Located(pid_of(origin, entry.serial), origin, entry)
