"""Commands from outside, on the node's loop: which are obeyed, what each verb does, and what is answered.

Law: a command is obeyed at most once, only by the incarnation that it names and only before its deadline; whatever else
comes is dropped, reported and, where somebody may still wait, refused with a word. Every command obeyed is answered
once. Nothing here blocks; thousands of registrations are fed to the node a few in each turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from registry.core.events import Report
from registry.core.ids import BadName, Origin, check_name, check_slug, incarnation_of, node_of
from registry.core.names import Located
from supervisor.command import BadCommand, Batch, Command, outcome, refusal
from supervisor.core.events import Asked, CordonAsked, Defined, ForgetAsked, Reply
from supervisor.core.node import Node
from supervisor.core.spec import Definition
from supervisor.errors import CallTimeout, SwormError
from supervisor.foresight_command import foresee
from supervisor.group_commands import GroupCommands
from supervisor.items import process_item, spec_of
from supervisor.outbox import Outbox
from supervisor.tasks import Payload
from supervisor.wishes import wish

logger = logging.getLogger(__name__)

#: Commands remembered so that one that comes twice runs once; dramatiq redelivers after a minute at the earliest.
REMEMBERED = 20_000

#: Registrations of a batch given to the node in one turn of its loop: about 10 ms.
FED_AT_ONCE = 100

#: Seconds that a call's own time-out may be overrun before the workers' loop counts as blocked.
CALL_SLACK = 0.1


class Owner(Protocol):
    """What commands need of the agent. All on the node's loop."""

    node: Node

    def enter(self, event: Any) -> None:
        """Step the node with an event."""

    def expect(self, request: str, then: Callable[[Reply], None]) -> None:
        """Call `then` on the node's loop with the reply to this request."""

    def on_workers(self, coroutine: Callable[[Any], Coroutine[Any, Any, Any]]) -> Coroutine[Any, Any, Any]:
        """Run `coroutine(router)` on the workers' loop; awaited on the node's."""

    def cancel_drain(self) -> bool:
        """End an operator's drain; False: there is none that could be ended any more."""
        ...

    def drain(self, seconds: float, leave: bool) -> None:
        """Begin to empty this node."""

    def report(self, report: Report) -> None:
        """Tell people."""


class Incoming:
    """The door for commands of one incarnation."""

    def __init__(self, origin: Origin, owner: Owner, outbox: Outbox) -> None:
        self._node_name, self._incarnation = node_of(origin), incarnation_of(origin)
        self._owner = owner
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False  #: the node is stopping and obeys nothing any more
        self._verbs: dict[str, Callable[[Command], None]] = {
            "register": self._register,
            "register_batch": self._register_batch,
            "unregister": lambda command: self._ask(command, "unregister"),
            "restart": lambda command: self._ask(command, "restart"),
            "handoff": self._handoff,
            "call": self._call,
            "cast": self._cast,
            "get": self._get,
            "list": self._list,
            "drain": self._drain,
            "cancel_drain": self._cancel_drain,
            "cordon": lambda command: self._cordon(command, on=True),
            "uncordon": lambda command: self._cordon(command, on=False),
            "forget": self._forget,
            "foresee": lambda command: foresee(owner, command),
            "define": lambda command: command.done({"revision": command.revision}),
            "ping": self._ping,
            **GroupCommands(owner, self._spawn).verbs,
        }

    def take(self, payload: Payload) -> None:
        """Obey or drop one command."""
        try:
            if not isinstance(payload, dict):
                raise BadCommand(f"a command is a map, not {type(payload).__name__}")
            command = Command(payload, self._answer)
        except BadCommand as error:
            self._drop("", str(error))
            return
        if command.id in self._seen:
            return
        self._remember(command.id)
        problem = self._problem(command)
        if problem is not None:
            word, sentence = problem
            self._drop(command.op, sentence)
            command.refuse(word, sentence)
            return
        self._obey(command)

    def _problem(self, command: Command) -> tuple[str, str] | None:
        """Why a command must not run, as a word and a sentence."""
        if command.incarnation != self._incarnation:
            mine = f"{self._node_name} is at incarnation {self._incarnation}"
            return "other_incarnation", f"the command is for incarnation {command.incarnation}; {mine}"
        late = time.time() - command.deadline
        if late >= 0:
            return "too_late", f"the command came {late:.1f} s after its deadline"
        if self.closed:
            return "stopping", f"{self._node_name} is stopping"
        if command.op not in self._verbs:
            return "unknown_op", f"{self._node_name} knows no command {command.op!r}"
        return None

    def _obey(self, command: Command) -> None:
        try:
            self._learn(command.definition)
            self._verbs[command.op](command)
        except (BadCommand, BadName) as error:
            command.refuse("bad_value", str(error))
        except SwormError as error:
            command.refuse(error.code, error.detail)

    def _learn(self, definition: Definition | None) -> None:
        """Give the node a definition that is newer than the one it obeys."""
        if definition is not None:
            known = self._owner.node.definitions.get(definition.name)
            if known is None or known.revision < definition.revision:
                self._owner.enter(Defined(definition))

    def _remember(self, command_id: str) -> None:
        self._seen[command_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _drop(self, op: str, why: str) -> None:
        logger.warning("a command was dropped (%s): %s", op or "unreadable", why)
        self._owner.report(Report("command_dropped", node=self._node_name, detail=f"{op}: {why}" if op else why))

    def _answer(self, key: str, fields: Payload) -> None:
        self._outbox.answer(key, {**fields, "node": self._node_name})

    # ------------------------------------------------------------------------------------------------- registrations

    def _register(self, command: Command) -> None:
        def then(reply: Reply) -> None:
            command.answer(outcome(self._owner.node, command.sworm, command.name, reply))

        self._claim(command, command.fields, f"c/{command.id}", then)

    def _claim(self, command: Command, item: Payload, request: str, then: Callable[[Reply], None]) -> None:
        """Give one registration to the node. Raises `BadName`, or a `SwormError` for values that cannot be carried."""
        name = check_name(item.get("name"))
        definition = self._owner.node.definitions.get(command.sworm)
        spec = spec_of(item, definition.isolation if definition is not None else "")
        claim = str(item.get("claim") or request)
        self._owner.expect(request, then)
        self._owner.enter(Asked(request, "register", command.sworm, name, command.deadline, claim, spec))

    def _register_batch(self, command: Command) -> None:
        items = command.field("items", list)
        if not all(isinstance(item, dict) for item in items):
            raise BadCommand("items must be maps")
        batch = Batch(command, items, [None] * len(items), len(items))
        if not items:
            command.done([])
        self._feed(batch, 0)

    def _feed(self, batch: Batch, start: int) -> None:
        for index in range(start, min(start + FED_AT_ONCE, len(batch.items))):
            self._feed_one(batch, index)
        if start + FED_AT_ONCE < len(batch.items):
            self._loop.call_soon(self._feed, batch, start + FED_AT_ONCE)

    def _feed_one(self, batch: Batch, index: int) -> None:
        command, item = batch.command, batch.items[index]

        def then(reply: Reply) -> None:
            batch.end(index, outcome(self._owner.node, command.sworm, item["name"], reply))

        try:
            self._claim(command, item, f"c/{command.id}/{index}", then)
        except BadName as error:
            batch.end(index, refusal("bad_value", str(error)))
        except SwormError as error:
            batch.end(index, refusal(error.code, error.detail))

    # ----------------------------------------------------------------------------------------- other wishes of a name

    def _ask(self, command: Command, kind: str, to: str = "") -> None:
        wish(self._owner, command, kind, command.name, pid=str(command.fields.get("pid") or ""), to=to)

    def _handoff(self, command: Command) -> None:
        to = command.fields.get("to")
        self._ask(command, "move", check_slug(to, "node name") if to else "")

    # ----------------------------------------------------------------------------------------------------- messages

    def _call(self, command: Command) -> None:
        seconds = min(command.field("timeout_ms", int) / 1000, command.deadline - time.time())
        self._spawn(self._await_reply(command, max(seconds, 0.001)))

    async def _await_reply(self, command: Command, seconds: float) -> None:
        sworm, name, message = command.sworm, command.name, command.fields.get("message")
        try:
            async with asyncio.timeout(seconds + CALL_SLACK):
                reply = await self._owner.on_workers(lambda router: router.call(sworm, name, message, seconds))
        except TimeoutError:
            command.refuse(CallTimeout.code, "the workers of this node are blocked; the message may have been handled")
        except SwormError as error:
            command.refuse(error.code, error.detail)
        else:
            command.done(reply)

    def _cast(self, command: Command) -> None:
        self._spawn(self._pass_on(command))

    async def _pass_on(self, command: Command) -> None:
        sworm, name, message = command.sworm, command.name, command.fields.get("message")

        async def cast(router: Any) -> None:
            router.cast(sworm, name, message)

        try:
            async with asyncio.timeout(max(0.0, command.deadline - time.time())):
                await self._owner.on_workers(cast)
        except TimeoutError:
            command.refuse("no_answer", "the workers of this node are blocked; the message may have been handled")
        except SwormError as error:
            command.refuse(error.code, error.detail)
        else:
            command.done(None)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -------------------------------------------------------------------------------------------------------- reading

    def _get(self, command: Command) -> None:
        found = self._owner.node.lookup(command.sworm, command.name)
        if found is None:
            command.refuse("not_registered", f"no process {command.name!r} is registered in {command.sworm}")
        else:
            groups = self._groups(command.sworm, command.name, found)
            command.done(process_item(command.sworm, command.name, found, groups))

    def _list(self, command: Command) -> None:
        replica = self._owner.node.replicas.get(command.sworm)
        names = list(replica.index.items()) if replica is not None else []
        items = [
            process_item(command.sworm, name, found, self._groups(command.sworm, name, found)) for name, found in names
        ]
        command.done({"items": items})

    def _groups(self, sworm: str, name: str, found: Located) -> list[str]:
        replica = self._owner.node.replicas[sworm]
        return [group for group in replica.groups_of(found.pid) if replica.groups[group][found.pid] == name]

    def _ping(self, command: Command) -> None:
        node = self._owner.node
        status = node.member.record.status
        command.done({"name": self._node_name, "incarnation": self._incarnation, "status": status,
                      "processes": node.process_count})  # fmt: skip

    # ------------------------------------------------------------------------------------------------------- the node

    def _drain(self, command: Command) -> None:
        seconds = command.fields.get("deadline_s", 30.0)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86_400:
            raise BadCommand("deadline_s must be a number of seconds above 0, at most 86400")
        self._owner.drain(float(seconds), bool(command.fields.get("leave", True)))
        command.done({"processes": self._owner.node.process_count})

    def _cancel_drain(self, command: Command) -> None:
        if self._owner.cancel_drain():
            command.done({"processes": self._owner.node.process_count})
        else:
            detail = f"{self._node_name} leaves already, or was told to end"
            command.refuse("not_cancellable", detail)

    def _cordon(self, command: Command, *, on: bool) -> None:
        self._owner.enter(CordonAsked(on))
        command.done({"status": self._owner.node.member.record.status})

    def _forget(self, command: Command) -> None:
        node = command.field("node", str)
        self._owner.enter(ForgetAsked(node))
        command.done({"node": node})
