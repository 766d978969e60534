"""Who did what, from where, to what, and why.

Law: one row for each mutation that was carried out, written by whoever carried it out, never changed afterwards: the
database itself refuses to (migration 0002). Arguments of processes and messages to them stay out: they may hold
secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import connection

from registry.whence import whence

#: Each command writes one: written out, it costs a fraction of what the ORM takes to write it.
_INSERT = """
    INSERT INTO registry_auditentry (at, actor, door, address, action, sworm, target, reason, operation,
                                     before, after, detail)
    VALUES (clock_timestamp(), %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s::jsonb)
"""

#: Things whose target begins with the name of a sworm.
_OF_A_SWORM = ("sworm", "process", "group")


def audit(
    actor: str,
    action: str,
    target: str,
    reason: str = "",
    /,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    operation: str = "",
    sworm: str | None = None,
    **detail: Any,
) -> None:
    """Write one row. `action` is `thing.verb`; `target` what it was done to, as `rooms/lobby`.

    `sworm` is the one that it concerns, where that is not the target's first part. `before` and `after` are what
    changed, as far as it is a value; `operation` the id of the one that does it.
    """
    door, address = whence(actor)
    if sworm is None:
        sworm = target.partition("/")[0] if action.partition(".")[0] in _OF_A_SWORM else ""
    values = [actor, door, address, action, sworm, target, reason, operation]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [*values, _json(before), _json(after), json.dumps(detail)])


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(dict(value), default=str)
