"""`Sworm`: the public verbs on a named pool of processes.

Law: a sworm is a class that is never instantiated; its attributes are the first definition, its verbs talk to the
backend of this process and mean the same in a worker, in a view and in a script. `whereis_name`, `registered` and
`cast` return at once; the others are awaited, or called through `.sync` where there is no event loop.
"""

# ruff: noqa: ASYNC109 - a time-out is part of each verb

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, overload

from registry.core.frozen import frozen
from registry.core.ids import Pid, check_name
from registry.core.names import Spec
from supervisor.backend import DEFAULT_TIMEOUT, Registered, current_backend
from supervisor.core.spec import ISOLATIONS, TRANSIENT, Definition, check
from supervisor.core.strategies import UNIFORM
from supervisor.errors import AlreadyStarted, BadDefinition
from supervisor.grouping import Grouped, SyncGrouped, check_pid, own_pid
from supervisor.workers.values import pack, pack_arguments

#: A worker: "module:identifier", or the class or function itself.
Target = str | Callable[..., Any]

_FIELDS = tuple(field for field in Definition._fields if field not in ("name", "revision", "deleted"))


class SyncVerbs(SyncGrouped):
    """The awaitable verbs of a sworm, for callers without an event loop: views and scripts."""

    __slots__ = ()

    _sworm: type[Sworm]

    def __init__(self, sworm: type[Sworm]) -> None:
        self._sworm = sworm

    @overload
    def register_name(
        self,
        name: str,
        target: Target,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        isolation: str = "",
        meta: Mapping[str, Any] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Pid: ...

    @overload
    def register_name(self, name: str, *, pid: Pid | None = None, timeout: float = DEFAULT_TIMEOUT) -> bool: ...

    def register_name(
        self, name: str, target: Target | None = None, *args: Any, pid: Pid | None = None, **more: Any
    ) -> Pid | bool:
        """`Sworm.register_name`, waited for."""
        if target is None and pid is None:
            pid = own_pid()  # whoever waits may wait on another thread
        verb: Coroutine[Any, Any, Pid | bool] = self._sworm._register_name(name, target, *args, pid=pid, **more)  # noqa: SLF001
        return current_backend().wait(verb)

    def whereis_or_register_name(
        self,
        name: str,
        target: Target,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        isolation: str = "",
        meta: Mapping[str, Any] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Pid:
        """`Sworm.whereis_or_register_name`, waited for."""
        verb = self._sworm.whereis_or_register_name(
            name, target, args, kwargs, isolation=isolation, meta=meta, timeout=timeout
        )
        return current_backend().wait(verb)

    def unregister_name(self, name: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """`Sworm.unregister_name`, waited for."""
        current_backend().wait(self._sworm.unregister_name(name, timeout=timeout))

    def whereis_name(self, name: str) -> Pid | None:
        """`Sworm.whereis_name`."""
        return self._sworm.whereis_name(name)

    def registered(self) -> list[tuple[str, Pid]]:
        """`Sworm.registered`."""
        return self._sworm.registered()

    def call(self, name: str, message: Any, *, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """`Sworm.call`, waited for."""
        return current_backend().wait(self._sworm.call(name, message, timeout=timeout))

    def cast(self, name: str, message: Any) -> None:
        """`Sworm.cast`."""
        self._sworm.cast(name, message)

    def restart_name(self, name: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """`Sworm.restart_name`, waited for."""
        current_backend().wait(self._sworm.restart_name(name, timeout=timeout))

    def handoff_name(self, name: str, to: str | None = None, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """`Sworm.handoff_name`, waited for."""
        current_backend().wait(self._sworm.handoff_name(name, to, timeout=timeout))


class Sworm(Grouped):
    """A named pool of processes. Derive from it; the class attributes are the first definition.

    `name` is the class's name in lower case unless given. Once PostgreSQL has a row of that name, the row wins. Raises
    `BadDefinition` at the class statement when a setting cannot be obeyed.
    """

    name: ClassVar[str]
    sync: ClassVar[SyncVerbs]

    restart: ClassVar[str] = TRANSIENT  #: permanent, transient or temporary
    max_restarts: ClassVar[int] = 3  #: within `max_seconds`; one more, and the process counts as failed
    max_seconds: ClassVar[float] = 5.0
    handoff: ClassVar[bool] = False  #: move with state
    handoff_timeout_ms: ClassVar[int] = 5_000
    distribution_strategy: ClassVar[str] = UNIFORM
    constraints: ClassVar[Mapping[str, Any]] = {}  #: labels that a node must have: `supervisor.core.constraints`
    redistribution: ClassVar[str] = "passive"
    sync_interval_ms: ClassVar[int] = 300
    max_sync_size: ClassVar[int] = 5_000
    allowed_modules: ClassVar[Sequence[str]] = ()  #: module prefixes; empty: whatever the agent allows
    isolation: ClassVar[str] = "task"  #: of processes that do not say their own
    checkpoint_interval_ms: ClassVar[int] = 0  #: between two checkpoints of a process; 0: none are made
    checkpoint_copies: ClassVar[int] = 0  #: other nodes that keep each checkpoint; 0: none are made

    _definition: ClassVar[Definition]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = cls.__name__.lower()
        cls.sync = SyncVerbs(cls)
        cls._definition = _define(cls)

    @classmethod
    def definition(cls) -> Definition:
        """The definition that the class attributes make, at revision 0."""
        return cls._definition

    # ------------------------------------------------------------------------------------------------- registrations

    @overload
    @classmethod
    def register_name(
        cls,
        name: str,
        target: Target,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        isolation: str = "",
        meta: Mapping[str, Any] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Coroutine[Any, Any, Pid]: ...

    @overload
    @classmethod
    def register_name(
        cls, name: str, *, pid: Pid | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> Coroutine[Any, Any, bool]: ...

    @classmethod
    def register_name(
        cls, name: str, target: Target | None = None, *args: Any, pid: Pid | None = None, **more: Any
    ) -> Coroutine[Any, Any, Pid | bool]:
        """Start a worker under a name, or (without a target) give a name to a process that runs already.

        **With a target**: start a worker, somewhere in the cluster; returns its pid once it has started. `target` is
        "module:identifier" (or the class or function itself): a `Worker` class, a coroutine function, or a plain
        function, called with `args` and `kwargs`. `meta` is shown with the process and means nothing to Sworm.
        `timeout` in seconds. Raises `AlreadyStarted` (with the pid), `StartError` with the worker's own error,
        `TargetNotAllowed`, `TargetNotFound`, `NoNode`, or `NoAnswer`: then it may have started.

        **With a pid**, or with neither (then it is the worker that asks): returns True once the process has this name
        too, False when the name is taken. A process of this sworm keeps the name through restarts and moves, and loses
        it when it ends; for a process of another sworm the name ends with this incarnation of it. No process is ever
        restarted because of such a name. Raises `NotRegistered` when no process has the pid, `NoAnswer`.
        """
        return cls._register_name(name, target, *args, pid=pid, **more)

    @classmethod
    async def _register_name(
        cls,
        name: str,
        target: Target | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        pid: Pid | None = None,
        isolation: str = "",
        meta: Mapping[str, Any] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Pid | bool:
        if target is None:
            if args or kwargs or isolation or meta:
                raise ValueError("args, kwargs, isolation and meta belong to a target; a process that runs has its own")
            pid = own_pid() if pid is None else check_pid(pid)
            return await current_backend().give_name(cls._definition, check_name(name), pid, timeout)
        if pid is not None:
            raise ValueError("a name is for a target to start or for a pid that runs, not for both")
        found = await cls._register(name, target, args, kwargs, isolation, meta, timeout)
        if found.already:
            raise AlreadyStarted(found.pid)
        return found.pid

    @classmethod
    async def whereis_or_register_name(
        cls,
        name: str,
        target: Target,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        isolation: str = "",
        meta: Mapping[str, Any] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Pid:
        """The pid that runs under a name; started as by `register_name` when there is none."""
        pid = cls.whereis_name(name)
        if pid is not None:
            return pid
        return (await cls._register(name, target, args, kwargs, isolation, meta, timeout)).pid

    @classmethod
    async def _register(
        cls,
        name: str,
        target: Target,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        isolation: str,
        meta: Mapping[str, Any] | None,
        timeout: float,
    ) -> Registered:
        check_name(name)
        spec = make_spec(target, args, kwargs, isolation or cls.isolation, meta)
        try:
            return await current_backend().register(cls._definition, name, spec, timeout)
        except AlreadyStarted as already:
            return Registered(already.pid, True)

    @classmethod
    async def unregister_name(cls, name: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Stop the process of a name and end all its names; of a further name: end that name only.

        Raises `NotRegistered`, `NoAnswer`.
        """
        await current_backend().unregister(cls.name, name, timeout)

    @classmethod
    def whereis_name(cls, name: str) -> Pid | None:
        """The pid that runs under a name, or None. In an agent a local read; elsewhere the read model."""
        return current_backend().whereis(cls.name, name)

    @classmethod
    def registered(cls) -> list[tuple[str, Pid]]:
        """Every name of this sworm with its pid, in no order."""
        return current_backend().registered(cls.name)

    # ------------------------------------------------------------------------------------------------------ messages

    @classmethod
    def call(cls, name: str, message: Any, *, timeout: float = DEFAULT_TIMEOUT) -> Coroutine[Any, Any, Any]:
        """Send a message to the process of a name and return its reply; `timeout` in seconds.

        Raises `NotRegistered`, `CallTimeout`, `WorkerCrashed`, or `LinkLost` when its node went away meanwhile; but for
        the first, the message may have been handled.
        """
        return current_backend().call(cls.name, name, message, timeout)

    @classmethod
    def cast(cls, name: str, message: Any) -> None:
        """Send a message, at most once, and do not wait. Raises `NotRegistered` when the name is not known here."""
        current_backend().cast(cls.name, name, message)

    # ----------------------------------------------------------------------------------------------------- operators

    @classmethod
    async def restart_name(cls, name: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Restart the process of a name, running or failed. Raises `NotRegistered`, `NoAnswer`."""
        await current_backend().restart(cls.name, name, timeout)

    @classmethod
    async def handoff_name(cls, name: str, to: str | None = None, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Move the process of a name, with its state, to the node `to` (None: wherever it belongs)."""
        await current_backend().handoff(cls.name, name, to, timeout)


def make_spec(
    target: Target,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    isolation: str = "",
    meta: Mapping[str, Any] | None = None,
) -> Spec:
    """What runs under a name, as the registry carries it. Raises `BadValue`, `ValueError` for an unknown isolation."""
    if isolation and isolation not in ISOLATIONS:
        raise ValueError(f"isolation {isolation!r} is not one of {', '.join(ISOLATIONS)}")
    text = target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"
    packed = pack_arguments(list(args), dict(kwargs or {}))
    return Spec(text, packed, isolation, pack(dict(meta)) if meta else b"")


def _define(sworm: type[Sworm]) -> Definition:
    values = {field: frozen(getattr(sworm, field)) for field in _FIELDS}
    definition = Definition(sworm.name, **values)
    wrong = check(definition)
    if wrong:
        problems = "; ".join(f"{field} {problem}" for field, problem in wrong.items())
        raise BadDefinition(f"sworm {sworm.name}: {problems}")
    return definition
