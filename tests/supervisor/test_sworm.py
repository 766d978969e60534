"""The public verbs: what they promise, whatever carries them out."""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from registry.core.ids import BadName
from registry.core.names import Spec
from supervisor import AlreadyStarted, BadDefinition, NotRegistered, StartError, Sworm, WorkerCrashed, errors
from supervisor.backend import Backend, NoBackend, Registered, current_backend, use_backend, use_fallback
from supervisor.core.constraints import written
from supervisor.core.spec import Definition
from supervisor.grouping import Grouped
from supervisor.workers.values import unpack
from tests.supervisor.workers import samples


class MemoryBackend:
    """The verbs over a dict: what the public API is tested against."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], str] = {}
        self.specs: list[tuple[Definition, str, Spec]] = []
        self.casts: list[Any] = []
        self.groups: dict[tuple[str, str], dict[str, str]] = {}

    async def register(self, definition: Definition, name: str, spec: Spec, timeout: float) -> Registered:
        if spec.target == "broken:Worker":
            raise StartError("no seat")
        found = self.names.get((definition.name, name))
        if found is not None:
            return Registered(found, True)
        self.specs.append((definition, name, spec))
        pid = self.names[definition.name, name] = f"n1.1.{len(self.specs)}"
        return Registered(pid)

    async def give_name(self, definition: Definition, name: str, pid: str, timeout: float) -> bool:
        if pid not in self.names.values():
            raise NotRegistered
        return self.names.setdefault((definition.name, name), pid) == pid

    async def join(self, sworm: str, group: str, name: str, pid: str, timeout: float) -> None:
        name = name or next((each for (_, each), its in self.names.items() if its == pid), "")
        if (sworm, name) not in self.names:
            raise NotRegistered
        self.groups.setdefault((sworm, group), {})[name] = self.names[sworm, name]

    async def leave(self, sworm: str, group: str, name: str, pid: str, timeout: float) -> None:
        await self.join(sworm, group, name, pid, timeout)
        members = self.groups[sworm, group]
        self.groups[sworm, group] = {each: its for each, its in members.items() if name != each and its != pid}

    def members(self, sworm: str, group: str) -> list[tuple[str, str]]:
        return sorted(self.groups.get((sworm, group), {}).items())

    def publish(self, sworm: str, group: str, message: Any) -> None:
        self.casts.append(("publish", sworm, group, message))

    async def multi_call(self, sworm: str, group: str, message: Any, timeout: float) -> dict[str, Any]:
        return {name: message if name != "bad" else WorkerCrashed("no") for name, _ in self.members(sworm, group)}

    async def unregister(self, sworm: str, name: str, timeout: float) -> None:
        if self.names.pop((sworm, name), None) is None:
            raise NotRegistered

    def whereis(self, sworm: str, name: str) -> str | None:
        return self.names.get((sworm, name))

    def registered(self, sworm: str) -> list[tuple[str, str]]:
        return [(name, pid) for (home, name), pid in self.names.items() if home == sworm]

    async def call(self, sworm: str, name: str, message: Any, timeout: float) -> Any:
        return [sworm, name, message, timeout]

    def cast(self, sworm: str, name: str, message: Any) -> None:
        self.casts.append((sworm, name, message))

    async def restart(self, sworm: str, name: str, timeout: float) -> None:
        self.casts.append(("restart", sworm, name))

    async def handoff(self, sworm: str, name: str, to: str | None, timeout: float) -> None:
        self.casts.append(("handoff", sworm, name, to))

    def wait(self, verb: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(verb)


class Rooms(Sworm):
    restart = "permanent"
    handoff = True
    allowed_modules = ["chat"]


@pytest.fixture
def backend() -> Iterator[MemoryBackend]:
    backend = MemoryBackend()
    checked: Backend = backend
    before = use_backend(checked)
    yield backend
    use_backend(before)


def test_the_attributes_are_the_first_definition() -> None:
    expected = Definition("rooms", restart="permanent", handoff=True, allowed_modules=("chat",))
    assert Rooms.definition() == expected
    assert (Rooms.name, Rooms.definition().revision) == ("rooms", 0)


def test_a_name_may_be_given_and_attributes_inherited() -> None:
    class Lobbies(Rooms):
        name = "lobby-rooms"
        max_restarts = 9

    assert Lobbies.definition() == Rooms.definition()._replace(name="lobby-rooms", max_restarts=9)


def test_constraints_may_be_given() -> None:
    class Near(Rooms):
        constraints: ClassVar = {"zone": ["a", "b"], "disk": {"not": "slow"}}

    assert written(Near.definition().constraints) == Near.constraints


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"restart": "sometimes"}, "restart 'sometimes' is not one of"),
        ({"max_seconds": 0}, "max_seconds 0 is not a number from"),
        ({"name": "Not A Slug"}, "must match"),
        ({"constraints": {"zone": 1}}, "constraints zone: 1 must be a text"),
        ({"constraints": "zone=a"}, "constraints must be an object of labels"),
        ({"distribution_strategy": "sideways"}, "'sideways' is not one of uniform"),
    ],
)
def test_a_setting_that_cannot_be_obeyed_is_refused_at_the_class(attributes: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadDefinition, match=problem):
        type("Bad", (Sworm,), attributes)


@pytest.mark.asyncio
async def test_register_name_starts_what_it_is_told(backend: MemoryBackend) -> None:
    pid = await Rooms.register_name("lobby", "chat:Room", [1], {"b": 2}, meta={"c": 3}, isolation="process")
    definition, name, spec = backend.specs[0]
    assert (pid, definition, name) == ("n1.1.1", Rooms.definition(), "lobby")
    assert (spec.target, unpack(spec.args), spec.isolation) == ("chat:Room", [[1], {"b": 2}], "process")
    assert unpack(spec.meta) == {"c": 3}


@pytest.mark.asyncio
async def test_a_target_may_be_the_worker_itself(backend: MemoryBackend) -> None:
    await Rooms.register_name("a", samples.Echo)
    await Rooms.register_name("b", samples.room)
    targets = [spec.target for _, _, spec in backend.specs]
    assert targets == [f"{samples.__name__}:Echo", f"{samples.__name__}:room"]
    assert [spec.args for _, _, spec in backend.specs] == [b"", b""]


@pytest.mark.asyncio
async def test_a_name_that_runs_is_already_started(backend: MemoryBackend) -> None:
    pid = await Rooms.register_name("lobby", "chat:Room")
    with pytest.raises(AlreadyStarted) as already:
        await Rooms.register_name("lobby", "chat:Other")
    assert already.value.pid == pid
    assert await Rooms.whereis_or_register_name("lobby", "chat:Other") == pid
    assert await Rooms.whereis_or_register_name("other", "chat:Room") == "n1.1.2"


@pytest.mark.asyncio
async def test_what_is_wrong_with_a_registration_is_said_before_anything_is_asked(backend: MemoryBackend) -> None:
    with pytest.raises(BadName):
        await Rooms.register_name("x" * 256, "chat:Room")
    with pytest.raises(errors.BadValue):
        await Rooms.register_name("lobby", "chat:Room", [object()])
    with pytest.raises(ValueError, match="isolation 'thread'"):
        await Rooms.register_name("lobby", "chat:Room", isolation="thread")
    with pytest.raises(StartError, match="no seat"):
        await Rooms.register_name("lobby", "broken:Worker")
    assert backend.specs == []


@pytest.mark.asyncio
async def test_the_other_verbs(backend: MemoryBackend) -> None:
    pid = await Rooms.register_name("lobby", "chat:Room")
    assert Rooms.whereis_name("lobby") == pid
    assert Rooms.whereis_name("other") is None
    assert Rooms.registered() == [("lobby", pid)]
    assert await Rooms.call("lobby", 1, timeout=2.0) == ["rooms", "lobby", 1, 2.0]
    Rooms.cast("lobby", 2)
    await Rooms.restart_name("lobby")
    await Rooms.handoff_name("lobby", "n2")
    assert backend.casts == [("rooms", "lobby", 2), ("restart", "rooms", "lobby"), ("handoff", "rooms", "lobby", "n2")]
    await Rooms.unregister_name("lobby")
    with pytest.raises(NotRegistered):
        await Rooms.unregister_name("lobby")


def test_the_synchronous_twins(backend: MemoryBackend) -> None:
    pid = Rooms.sync.register_name("lobby", "chat:Room", [1])
    assert Rooms.sync.whereis_or_register_name("lobby", "chat:Room") == pid
    assert Rooms.sync.whereis_name("lobby") == pid
    assert Rooms.sync.registered() == [("lobby", pid)]
    assert Rooms.sync.call("lobby", 1, timeout=2.0) == ["rooms", "lobby", 1, 2.0]
    Rooms.sync.cast("lobby", 2)
    Rooms.sync.restart_name("lobby")
    Rooms.sync.handoff_name("lobby")
    Rooms.sync.unregister_name("lobby")
    with pytest.raises(NotRegistered):
        Rooms.sync.unregister_name("lobby")


def test_without_a_backend_every_verb_says_so() -> None:
    before = use_backend(None)
    use_fallback(None)
    try:
        with pytest.raises(NoBackend):
            Rooms.whereis_name("lobby")
        use_fallback(MemoryBackend)
        assert Rooms.whereis_name("lobby") is None
        assert current_backend() is current_backend()
    finally:
        use_fallback(None)
        use_backend(before)


def test_every_awaitable_verb_has_a_twin() -> None:
    named = {*vars(Sworm), *vars(Grouped)}
    verbs = {name for name in named if not name.startswith("_") and callable(getattr(Sworm, name))}
    twins = {name for name in dir(Rooms.sync) if not name.startswith("_")}
    assert verbs - {"definition"} == twins


def test_an_error_is_made_again_from_its_code() -> None:
    for code, kind in errors.BY_CODE.items():
        again = errors.from_code(code, "why")
        assert (type(again), str(again)) == (kind, "why")
        assert str(kind()) == (kind.__doc__ or "").strip()
    already = errors.from_code("already_started", "", "n1.1.1")
    assert isinstance(already, AlreadyStarted)
    assert already.pid == "n1.1.1"
    assert str(errors.from_code("strange", "why")) == "strange: why"


def test_importing_the_core_loads_the_standard_library_only() -> None:
    program = """
import sys
import supervisor.core.gate, supervisor.core.events, supervisor.core.node
loaded = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
own = {name for name in sys.modules if name.startswith("supervisor.") and not name.startswith("supervisor.core")}
assert not own, own
assert not loaded & {"msgspec", "django", "uvloop", "websockets"}, loaded
from supervisor import *
assert Worker.__module__ == "supervisor.workers.base" and Sworm and current and AlreadyStarted
assert "django" not in sys.modules
"""
    root = Path(__file__).parent.parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(root)})
