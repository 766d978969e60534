"""The shapes of what REST answers, for its document and for the tests that hold real answers against it.

Law: no code makes an answer from these; answers come straight from rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec


class Advice(msgspec.Struct):
    """Something to know about a definition; `field` is empty for the whole."""

    field: str
    level: Literal["danger", "note"]
    text: str


class SwormRevision(msgspec.Struct):
    """A definition at one revision, and what changed with it."""

    revision: int
    at: datetime
    actor: str
    reason: str
    deleted: bool
    fields: dict[str, Any]
    changed: dict[str, dict[str, Any]]  #: {field: {"before", "after"}}


class Sworm(msgspec.Struct):
    """A definition."""

    name: str
    revision: int
    restart: Literal["permanent", "transient", "temporary"]
    max_restarts: int
    max_seconds: float
    handoff: bool
    handoff_timeout_ms: int
    distribution_strategy: str
    constraints: dict[str, Any]
    redistribution: str
    sync_interval_ms: int
    max_sync_size: int
    allowed_modules: list[str]
    isolation: Literal["task", "process"]
    checkpoint_interval_ms: int
    checkpoint_copies: int
    created_at: datetime
    updated_at: datetime
    nodes: dict[str, int]  #: {node: revision that it runs}
    processes: int
    drift: dict[str, dict[str, Any]]  #: {field: {"code", "row"}}: where the class that proposed it says otherwise
    advice: list[Advice] | msgspec.UnsetType = msgspec.UNSET  #: in the answer to a change: what to know about it


class PastProcess(msgspec.Struct):
    """A process as it stood."""

    sworm: str
    name: str
    pid: str
    node: str
    epoch: int
    state: Literal["starting", "running", "handing_off", "restarting", "failed"]
    target: str
    isolation: Literal["task", "process"]
    groups: list[str]
    restarts: int
    started_at: datetime
    revision: int


class Process(PastProcess):
    """A process as it stands. `observed` is false while no observer writes: an agent was asked instead."""

    args: list[Any]
    kwargs: dict[str, Any]
    meta: dict[str, Any]
    observed: bool = True


class Problem(msgspec.Struct):
    """RFC 9457. `code` is the short word; `process` stands in already_started."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]]
    process: Process | None = None


class BatchResult(msgspec.Struct):
    """What became of one item: a process, or a problem."""

    name: Any  #: as it was sent, if it was
    status: int
    process: Process | None = None
    problem: Problem | None = None


class BatchResults(msgspec.Struct):
    """One result for each item, in order."""

    results: list[BatchResult]


class Group(msgspec.Struct):
    """A group, with the first names of its members."""

    sworm: str
    name: str
    size: int  #: of all
    members: list[str]  #: at most 1000


class GroupMembers(msgspec.Struct):
    """One group: `items` is a page of what runs, `members` are the names of that page."""

    sworm: str
    name: str
    members: list[str]
    items: list[Process]
    next_cursor: str | None
    revision: int


class MemberReply(msgspec.Struct):
    """One member's reply, or the problem instead of it."""

    name: str
    reply: Any = None
    problem: Problem | None = None


class Replies(msgspec.Struct):
    """What a group's members replied."""

    replies: list[MemberReply]


class Reply(msgspec.Struct):
    """A worker's reply."""

    reply: Any


class Accepted(msgspec.Struct):
    """It will be done."""

    accepted: bool


class Move(msgspec.Struct):
    """One move that would be made."""

    sworm: str
    name: str
    from_: str = msgspec.field(name="from")
    to: str | None
    problem: str | None
    why: str = ""  #: why it is part of what was asked


class Moves(msgspec.Struct):
    """What a dry run would do."""

    moves: list[Move]


class PastNode(msgspec.Struct):
    """A node as it stood."""

    name: str
    incarnation: int
    status: Literal["alive", "suspect", "draining", "left", "dead"]
    cordoned: bool
    url: str
    labels: dict[str, str]
    capacity: float
    sworms: list[str]
    processes: int
    revision: int


class Node(PastNode):
    """A node as it stands."""

    last_seen: datetime
    stats: dict[str, Any]
    definitions: dict[str, int]


class Progress(msgspec.Struct):
    """How far an operation is."""

    done: int
    total: int


class Operation(msgspec.Struct):
    """Something slow that was asked for."""

    id: str
    kind: str
    target: str
    state: Literal["pending", "running", "succeeded", "failed", "cancelled"]
    progress: Progress
    steps: list[dict[str, Any]]
    problem: dict[str, Any] | None  #: with `left_behind`, names that it failed for
    asked: dict[str, Any]  #: the body's members, as they were understood; of a restart's names how many, as `named`
    cancelled_by: str  #: who cancelled it; empty: nobody
    cancelling: bool  #: somebody cancelled it; what is under way finishes
    requested_by: str
    reason: str
    created_at: datetime
    started_at: datetime | None  #: when an observer took it up
    ended_at: datetime | None


class Step(msgspec.Struct):
    """One process of an operation."""

    at: datetime
    text: str
    number: int  #: its turn, from 0
    sworm: str
    name: str
    from_: str | None = msgspec.field(name="from")
    to: str | None
    why: str
    state: Literal["waiting", "asked", "done", "failed", "gone", "skipped"]
    attempts: int
    code: str
    detail: str


class PastMap(msgspec.Struct):
    """The map as it stood at a moment; `revision` is its last one until then."""

    at: datetime
    revision: int
    nodes: list[PastNode]
    processes: list[PastProcess]


class Replica(msgspec.Struct):
    """One node's replica of one sworm, as it was seen at a moment."""

    id: int
    node: str
    sworm: str
    size: int
    digest: str
    digests: dict[str, str]
    versions: dict[str, int]
    behind: int
    observed_at: datetime


class ComparedOrigin(msgspec.Struct):
    """One origin's map on both sides; a version is null where there is no copy."""

    origin: str
    left: int | None
    right: int | None
    broken: bool  #: equal versions, unequal entries: what must never be
    known: bool  #: entries of it were recorded


class ComparedEntry(msgspec.Struct):
    """One entry that differs; `key` is a name, or the parts of another kind of key."""

    origin: str
    key: Any
    left: Any
    right: Any
    verdict: Literal["only_left", "only_right", "differs", "unknown"]


class Comparison(msgspec.Struct):
    """Two snapshots of one sworm; `counts` by verdict, those that are the same too."""

    left: Replica
    right: Replica
    origins: list[ComparedOrigin]
    counts: dict[str, int]
    entries: list[ComparedEntry]


class Event(msgspec.Struct):
    """Something that happened."""

    id: int
    revision: int
    at: datetime
    kind: str
    sworm: str
    name: str
    node: str
    pid: str
    epoch: int
    detail: str


class AuditEntry(msgspec.Struct):
    """Who did what, why."""

    id: int
    at: datetime
    actor: str
    door: str  #: rest, page, admin, cli or code; empty in rows older than this column
    address: str  #: of whoever asked
    action: str
    sworm: str  #: the sworm that it was about; empty: none
    target: str
    reason: str
    operation: str  #: id of the operation that does it; empty: none
    before: dict[str, Any] | None  #: what changed, as it was
    after: dict[str, Any] | None  #: as it is since
    detail: dict[str, Any]


class Token(msgspec.Struct):
    """A token, without its secret; `token` stands in the answer to its creation alone."""

    id: int
    name: str
    prefix: str
    scopes: list[str]
    sworms: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used: datetime | None
    token: str | msgspec.UnsetType = msgspec.UNSET
    advice: list[Advice] | msgspec.UnsetType = msgspec.UNSET  #: in the answer to its creation: what to know about it


ALL = (
    Sworm, SwormRevision, Process, Problem, BatchResults, Group, GroupMembers, Replies, Reply, Accepted, Moves, Node,
    Operation, Step, PastMap, Replica, Comparison, Event, AuditEntry, Token,
)  # fmt: skip
