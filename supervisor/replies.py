"""The replies of a group's members, as plain values: they cross pipes and the broker.

Law: one triple for each member, [name, reply, None] or [name, None, [code, sentence]]; an error is made again from its
code, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from supervisor.errors import SwormError, from_code


def wire_replies(replies: dict[str, Any]) -> list[list[Any]]:
    """What `multi_call` returned, as plain values."""
    return [
        [name, None, [reply.code, reply.detail]] if isinstance(reply, SwormError) else [name, reply, None]
        for name, reply in replies.items()
    ]


def from_wire(rows: Iterable[Iterable[Any]]) -> dict[str, Any]:
    """What `multi_call` returned, out of plain values."""
    return {name: reply if error is None else from_code(*error) for name, reply, error in rows}
