"""What may be asked of the supervisor over HTTP, as types; the API's document is made of them.

Law: a value passes here or is refused here with its field's name. What an agent alone can know (whether a module may
run) is not judged here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from registry.api.bodies import Mutation, Name
from registry.core.ids import BadName, check_name
from registry.problems import refused
from supervisor.core.spec import Definition

_DEFAULTS = Definition("")

#: Longest target, in characters.
MAX_TARGET = 500
#: Items in a batch.
MAX_ITEMS = 10_000
#: Largest body of a batch, in bytes.
MAX_BATCH_BODY = 64 * 1024 * 1024

Constraints = dict[str, Any]
Modules = list[str]
Whole = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Settings(Mutation, kw_only=True):
    """A definition; what is not given has its default. `name`, if given, must be the one in the path."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    restart: str = _DEFAULTS.restart
    max_restarts: Whole = _DEFAULTS.max_restarts
    max_seconds: float = _DEFAULTS.max_seconds
    handoff: bool = _DEFAULTS.handoff
    handoff_timeout_ms: Whole = _DEFAULTS.handoff_timeout_ms
    distribution_strategy: str = _DEFAULTS.distribution_strategy
    constraints: Constraints = {}
    redistribution: str = _DEFAULTS.redistribution
    sync_interval_ms: Whole = _DEFAULTS.sync_interval_ms
    max_sync_size: Whole = _DEFAULTS.max_sync_size
    allowed_modules: Modules = []
    isolation: str = _DEFAULTS.isolation
    checkpoint_interval_ms: Whole = _DEFAULTS.checkpoint_interval_ms
    checkpoint_copies: Whole = _DEFAULTS.checkpoint_copies


class NewSworm(Settings, kw_only=True):
    """A definition; only `name` is required."""

    name: str


class SettingsPatch(Mutation, kw_only=True):
    """Some fields of a definition; what is not given stays. `name`, if given, must be the one in the path."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    restart: str | msgspec.UnsetType = msgspec.UNSET
    max_restarts: Whole | msgspec.UnsetType = msgspec.UNSET
    max_seconds: float | msgspec.UnsetType = msgspec.UNSET
    handoff: bool | msgspec.UnsetType = msgspec.UNSET
    handoff_timeout_ms: Whole | msgspec.UnsetType = msgspec.UNSET
    distribution_strategy: str | msgspec.UnsetType = msgspec.UNSET
    constraints: Constraints | msgspec.UnsetType = msgspec.UNSET
    redistribution: str | msgspec.UnsetType = msgspec.UNSET
    sync_interval_ms: Whole | msgspec.UnsetType = msgspec.UNSET
    max_sync_size: Whole | msgspec.UnsetType = msgspec.UNSET
    allowed_modules: Modules | msgspec.UnsetType = msgspec.UNSET
    isolation: str | msgspec.UnsetType = msgspec.UNSET
    checkpoint_interval_ms: Whole | msgspec.UnsetType = msgspec.UNSET
    checkpoint_copies: Whole | msgspec.UnsetType = msgspec.UNSET


class Revert(Mutation, kw_only=True):
    """Which revision shall be written again."""

    revision: Annotated[int, Meta(ge=1, le=2**63 - 1)]


def given(body: Settings | SettingsPatch) -> dict[str, Any]:
    """The definition's fields that a body gives."""
    fields = {name: getattr(body, name) for name in body.__struct_fields__ if name not in ("reason", "name")}
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


class Registration(Mutation, kw_only=True):
    """What shall run under the name in the path."""

    target: Annotated[str, Meta(max_length=MAX_TARGET, description="module:identifier")]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    isolation: Literal["task", "process"] | None = None
    meta: dict[str, Any] = {}


class NewProcess(Registration, kw_only=True):
    """What shall run, and under which name."""

    name: Name


class Batch(Mutation, kw_only=True):
    """Registrations, each judged by itself: an item is as the body of a single one, without `reason`."""

    items: Annotated[list[dict[str, Any]], Meta(max_length=MAX_ITEMS)]


class Call(Mutation, kw_only=True):
    """A message to a process, and how long its reply may take."""

    message: Any
    timeout_ms: Annotated[int, Meta(ge=1, le=120_000)] = 5_000


class Cast(Mutation, kw_only=True):
    """A message to a process."""

    message: Any


class Handoff(Mutation, kw_only=True):
    """Where a process shall go: a node's name, or null for wherever placement wants it."""

    to: str | None = None
    dry_run: bool = False


PerMinute = Annotated[float, Meta(gt=0, le=60_000, description="Most begun in a minute.")]
AtOnce = Annotated[int, Meta(ge=1, le=64, description="Most under way at once.")]


class Migrate(Mutation, kw_only=True):
    """What shall move: everything on a node (`from`), some processes (`names`), or both; and where to: a node's name,
    or null for wherever placement wants each.
    """

    from_: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    names: Annotated[list[Name], Meta(max_length=MAX_ITEMS)] | None = None
    max_per_minute: PerMinute | None = None
    max_at_once: AtOnce = 8
    dry_run: bool = False


class Rebalance(Mutation, kw_only=True):
    """How fast a plan shall be carried out, how much of it, and how long a process stays before it moves again."""

    max_per_minute: PerMinute = 60.0
    dwell_s: Annotated[float, Meta(ge=0, le=86_400, description="Seconds since its last start or move.")] = 60.0
    max_moves: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    dry_run: bool = False


class RollingRestart(Mutation, kw_only=True):
    """Which processes of a sworm shall begin anew (null: all), and how fast."""

    names: Annotated[list[Name], Meta(max_length=MAX_ITEMS)] | None = None
    max_per_minute: PerMinute | None = None
    max_at_once: AtOnce = 1
    dry_run: bool = False


class Drain(Mutation, kw_only=True):
    """How long a node may take to hand its processes over, in seconds."""

    deadline_s: Annotated[float, Meta(gt=0, le=86_400)] = 30.0
    dry_run: bool = False


def check_process(name: str, process: Registration) -> None:
    """Refuse what no agent could start, or could not be told."""
    try:
        check_name(name)
    except BadName as error:
        raise refused("name", str(error)) from None
    module, colon, identifier = process.target.partition(":")
    if not (colon and identifier.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        sentence = f"{process.target!r} is not module:identifier, as chat.rooms:Room"
        raise refused("target", sentence, code="target_not_found")
    for field in ("args", "kwargs", "meta"):
        check_portable(getattr(process, field), field)


def check_portable(value: Any, field: str) -> None:
    """Refuse a JSON value that MessagePack cannot carry."""
    try:
        msgspec.msgpack.encode(value)
    except (OverflowError, RecursionError) as error:
        raise refused(field, f"cannot be sent to a worker: {error}") from None
