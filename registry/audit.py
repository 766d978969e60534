"""Who did what, and why.

Law: one row for each mutation that was carried out, written by whoever carried it out, never changed afterwards.
Arguments of processes and messages to them stay out: they may hold secrets.
"""

from __future__ import annotations

import json
from typing import Any

from django.db import connection

#: Each command writes one: written out, it costs a fraction of what the ORM takes to write it.
_INSERT = """
    INSERT INTO registry_auditentry (at, actor, action, target, reason, detail)
    VALUES (clock_timestamp(), %s, %s, %s, %s, %s::jsonb)
"""


def audit(actor: str, action: str, target: str, reason: str = "", /, **detail: Any) -> None:
    """Write one row. `action` is `thing.verb`; `target` what it was done to, as `rooms/lobby`."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [actor, action, target, reason, json.dumps(detail)])
