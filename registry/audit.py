"""Who did what, and why.

Law: one row for each mutation that was carried out, written by whoever carried it out, never changed afterwards.
Arguments of processes and messages to them stay out: they may hold secrets.
"""

from __future__ import annotations

from typing import Any

from registry.models import AuditEntry


def audit(actor: str, action: str, target: str, reason: str = "", /, **detail: Any) -> None:
    """Write one row. `action` is `thing.verb`; `target` what it was done to, as `rooms/lobby`."""
    AuditEntry.objects.create(actor=actor, action=action, target=target, reason=reason, detail=detail)
