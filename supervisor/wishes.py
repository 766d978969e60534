"""A command's wish about one name, given to the node: what is asked, and what the answer says.

Law: the node replies once; the reply becomes the command's one answer, with the version at which a reader's copy shows
the effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from supervisor.command import Command, said
from supervisor.core.events import Asked, Reply
from supervisor.core.node import Node
from supervisor.errors import NotRegistered
from supervisor.items import registration_result
from supervisor.local import error_of


class Wishing(Protocol):
    """What a wish needs of the agent."""

    node: Node

    def enter(self, event: Any) -> None:
        """Step the node with an event."""

    def expect(self, request: str, then: Callable[[Reply], None]) -> None:
        """Call `then` on the node's loop with the reply to this request."""


def wish(
    owner: Wishing, command: Command, kind: str, name: str, *, pid: str = "", to: str = "", group: str = ""
) -> None:
    """Ask the node, and answer the command when it replies; the fields are those of `Asked`."""
    request = f"c/{command.id}"
    claim = str(command.fields.get("claim") or request)

    def then(reply: Reply) -> None:
        error = error_of(reply)
        if isinstance(error, NotRegistered) and name and not reply.detail:
            command.refuse(error.code, f"no process {name!r} is registered in {command.sworm}")
        elif error is not None:
            command.refuse(*said(reply, error))
        else:
            command.done(registration_result(owner.node, command.sworm, name, reply))

    owner.expect(request, then)
    owner.enter(Asked(request, kind, command.sworm, name, command.deadline, claim, None, pid, to, group))
