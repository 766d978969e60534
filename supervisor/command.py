"""One command: its fields, checked, and its one answer.

Law: values only; nothing here knows a node but to say how a wish ended. What a command lacks is a `BadCommand` whose
sentence names the field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from registry.core.frozen import frozen
from registry.core.ids import check_name, check_slug
from supervisor.core.events import Reply
from supervisor.core.node import Node
from supervisor.core.spec import Definition
from supervisor.errors import SwormError
from supervisor.items import registration_result
from supervisor.local import error_of
from supervisor.tasks import VERSION, Payload


class BadCommand(ValueError):
    """The command lacks a field, or has one of the wrong type."""


class Command:
    """One command, its common fields checked, and its one answer."""

    def __init__(self, payload: Payload, answer: Callable[[str, Payload], None]) -> None:
        """Raises `BadCommand`."""
        self.fields = payload
        self._send = answer
        self.id = self.field("id", str)
        self.op = self.field("op", str)
        self.incarnation = self.field("incarnation", int)
        self.deadline = float(self.field("deadline", float, int))
        self._answer_to = self.field("answer_to", str)
        if self.field("v", int) != VERSION:
            raise BadCommand(f"version {payload['v']} of commands is not spoken here; it must be {VERSION}")

    def field(self, name: str, *kinds: type[Any]) -> Any:
        """A field that must be there and of one of these types."""
        value = self.fields.get(name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise BadCommand(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}, not {value!r:.100}")
        return value

    @property
    def sworm(self) -> str:
        """The sworm meant. Raises `BadName`."""
        return check_slug(self.fields.get("sworm"), "sworm name")

    @property
    def name(self) -> str:
        """The name meant. Raises `BadName`."""
        return check_name(self.fields.get("name"))

    @property
    def definition(self) -> Definition | None:
        """The definition that came along. Raises `BadCommand`."""
        fields = self.fields.get("definition")
        if fields is None:
            return None
        try:
            return Definition(**{name: frozen(value) for name, value in fields.items()})
        except (TypeError, AttributeError) as error:
            raise BadCommand(f"definition: {error}") from None

    @property
    def revision(self) -> int:
        """The revision of the definition that came along."""
        definition = self.definition
        return definition.revision if definition is not None else 0

    def answer(self, fields: Payload) -> None:
        """Answer; once."""
        self._send(self._answer_to, {"id": self.id, **fields})

    def done(self, result: Any) -> None:
        """It was done."""
        self.answer(success(result))

    def refuse(self, problem: str, detail: str) -> None:
        """It was not."""
        self.answer(refusal(problem, detail))


@dataclass(slots=True)
class Batch:
    """Many registrations in one command; answered when the last has its end."""

    command: Command
    items: list[Payload]
    results: list[Payload | None]
    left: int

    def end(self, index: int, result: Payload) -> None:
        """One item has its end."""
        if self.results[index] is None:
            self.results[index] = result
            self.left -= 1
            if self.left == 0:
                self.command.done(self.results)


def outcome(node: Node, sworm: str, name: str, reply: Reply) -> Payload:
    """What became of a registration, as the fields of an answer. A refusal tells where it stands, too: what began and
    failed was registered for a moment.
    """
    result = registration_result(node, sworm, name, reply) if reply.origin else None
    if reply.result == "already_started":
        told = refusal("already_started", f"a process of this name is running already: {reply.pid}")
        return {**told, "result": result}
    error = error_of(reply)
    if error is None:
        return success(result)
    return {**refusal(*said(reply, error)), "result": result}


def success(result: Any) -> Payload:
    """It was done."""
    return {"ok": True, "result": result, "problem": "", "detail": ""}


def refusal(problem: str, detail: str) -> Payload:
    """It was not."""
    return {"ok": False, "result": None, "problem": problem, "detail": detail}


def said(reply: Reply, error: SwormError) -> tuple[str, str]:
    """The short word for an error and its sentence: the node's own where no class stands for it."""
    plain = type(error) is SwormError
    return (reply.problem or reply.result, reply.detail) if plain else (error.code, error.detail)
