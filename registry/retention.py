"""How long what is kept is kept, and dropping it: in the background, by the observer that writes.

Law: nothing grows for ever but the audit, which is kept on purpose. A round drops at most `CHUNK` rows of each kind in
a transaction of its own, under the writer's term, so that a backlog of months never holds up a registration. The
horizon is moved before what lies behind it is dropped, in the same transaction: whoever asks for more is told so
instead of getting half of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.backends.utils import CursorWrapper

#: Rows of one kind that one round drops at most.
CHUNK = 2_000

DAY = 86_400.0


class Sweep(NamedTuple):
    """One kind of rows: what drops the oldest of them. `sql` takes `seconds` and the size of the chunk."""

    what: str
    sql: str
    seconds: float  #: they are kept for so long


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long history is kept, and how often the replicas are recorded."""

    event_days: float = 30.0
    map_days: float = 7.0
    snapshot_hours: float = 24.0
    idempotency_hours: float = 24.0
    removals: int = 100_000
    snapshot_seconds: float = 10.0
    entries_seconds: float = 600.0  #: between two snapshots that carry the entries themselves
    more: tuple[Sweep, ...] = ()  #: of tables that are not the registry's


def _oldest(table: str, key: str, condition: str) -> str:
    """Drop the oldest rows for which a condition on seconds holds."""
    chosen = f"SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} LIMIT %s"  # noqa: S608 - constants
    return f"DELETE FROM {table} WHERE {key} IN ({chosen})"  # noqa: S608 - constants


def older(table: str, key: str, column: str) -> str:
    """The sweep of rows whose moment is longer ago than so many seconds."""
    return _oldest(table, key, f"{column} < clock_timestamp() - make_interval(secs => %s)")


#: Events up to the revision before the first one that stays may be gone. Nothing young is ever behind the horizon.
_MOVE_EVENTS = """
    UPDATE registry_horizon SET events = greatest(events, coalesce(
        (SELECT min(revision) - 1 FROM registry_event WHERE at >= clock_timestamp() - make_interval(secs => %s)),
        (SELECT revision FROM registry_counter)))
    WHERE EXISTS (SELECT 1 FROM registry_event WHERE at < clock_timestamp() - make_interval(secs => %s))
"""

_MOVE_CHANGES = """
    UPDATE registry_horizon SET changes = greatest(changes, clock_timestamp() - make_interval(secs => %s))
    RETURNING changes
"""

#: What the map of the horizon, or of any later moment, does not need: each key's newest change until then is kept,
#: unless it says that the key is gone. Oldest first, so that nothing comes back to life between two chunks. Only what
#: the horizon passed since the last complete round can have made something older superfluous: so a round costs what
#: changed in that time, however many processes there are.
_DROP_CHANGES = """
    WITH passed AS (
        SELECT id, sworm, name, revision, row IS NULL AS gone FROM registry_change
        WHERE at > coalesce(%s::timestamptz, '-infinity') AND at <= %s)
    DELETE FROM registry_change WHERE id IN (
        SELECT old.id FROM passed JOIN registry_change AS old
            ON old.sworm = passed.sworm AND old.name = passed.name AND old.revision < passed.revision
        UNION SELECT id FROM passed WHERE gone
        ORDER BY 1 LIMIT %s)
"""

#: The oldest row that stays marks where the memory of removals begins.
_DROP_REMOVALS = """
    DELETE FROM registry_removal WHERE id IN (
        SELECT id FROM registry_removal
        WHERE revision < (SELECT revision FROM registry_removal ORDER BY revision DESC OFFSET %s LIMIT 1)
        ORDER BY id LIMIT %s)
"""

_SNAPSHOTS = older("registry_replicasnapshot", "id", "observed_at")
_KEYS = older("registry_idempotencykey", "id", "created_at")
_LINKS = older("registry_signinlink", "id", "expires_at")
_SESSIONS = older("django_session", "session_key", "expire_date")


def sweeps(keeping: Keeping) -> list[Sweep]:
    """Everything that is dropped by age alone."""
    return [
        Sweep("events", older("registry_event", "id", "at"), keeping.event_days * DAY),
        Sweep("snapshots", _SNAPSHOTS, keeping.snapshot_hours * 3_600),
        Sweep("idempotency keys", _KEYS, keeping.idempotency_hours * 3_600),
        Sweep("sign-in links", _LINKS, 0.0),
        Sweep("sessions", _SESSIONS, 0.0),
        *keeping.more,
    ]


class Round(NamedTuple):
    """What one round did."""

    dropped: dict[str, int]  #: {what: rows}; a count of the chunk means that there is more
    horizon: datetime | None  #: of the map; None: there is none


def sweep(cursor: CursorWrapper, keeping: Keeping, chunk: int = CHUNK, since: datetime | None = None) -> Round:
    """One round within the caller's transaction. `since`: the map's horizon of the last round that dropped all that was
    behind it; None: not known.
    """
    cursor.execute(_MOVE_EVENTS, [keeping.event_days * DAY] * 2)
    dropped: dict[str, int] = {}
    for one in sweeps(keeping):
        cursor.execute(one.sql, [one.seconds, chunk])
        dropped[one.what] = cursor.rowcount
    cursor.execute(_MOVE_CHANGES, [keeping.map_days * DAY])
    row = cursor.fetchone()
    if row is not None:
        cursor.execute(_DROP_CHANGES, [since, row[0], chunk])
        dropped["changes"] = cursor.rowcount
    cursor.execute(_DROP_REMOVALS, [keeping.removals, chunk])
    dropped["removals"] = cursor.rowcount
    return Round(dropped, row[0] if row is not None else None)
