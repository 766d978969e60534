"""Finds the worker that a target names, "module:identifier", or says why it may not run.

Law: a module is imported only after both lists allow it, the agent's and the definition's. A target is one identifier,
no dots, of something callable which the named module, or one below it, itself defines: what a module merely imports
(`os.system`) is not reachable through it. An import runs in a thread of its own, because it may do anything.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from supervisor.core.spec import allows, is_target
from supervisor.errors import StartError, SwormError, TargetNotAllowed, TargetNotFound, described
from supervisor.workers.base import Worker

#: Seconds for the import of a worker's module; after it the start fails. The import itself cannot be stopped.
IMPORT_TIMEOUT = 10.0

Found = Callable[..., Any]


class Target(NamedTuple):
    """A well-formed target."""

    module: str
    identifier: str


def parse(text: str) -> Target:
    """Take a target apart. Raises `TargetNotFound` for anything but `module:identifier`."""
    if not is_target(text):
        raise TargetNotFound(f'{text!r} is not of the form "module:identifier"')
    module, _, identifier = text.partition(":")
    return Target(module, identifier)


def check_allowed(target: Target, agent: tuple[str, ...], definition: tuple[str, ...]) -> None:
    """Raise `TargetNotAllowed` unless both lists of module prefixes allow it; an empty definition's list allows all."""
    if not allows(agent, target.module):
        raise TargetNotAllowed(f"module {target.module} is not among those this agent may run: {', '.join(agent)}")
    if definition and not allows(definition, target.module):
        raise TargetNotAllowed(f"module {target.module} is not among those this sworm allows: {', '.join(definition)}")


def load(target: Target) -> Found:
    """Import a target's module and return what it names. May block, or do whatever that module does."""
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if target.module == missing or target.module.startswith(missing + "."):
            raise TargetNotFound(f"there is no module {target.module}") from None
        raise StartError(f"importing {target.module} failed: {described(error)}") from error
    except BaseException as error:
        raise StartError(f"importing {target.module} failed: {described(error)}") from error
    return _own(target, vars(module).get(target.identifier))


def _own(target: Target, found: Any) -> Found:
    where = f"{target.module}:{target.identifier}"
    if found is None:
        raise TargetNotFound(f"module {target.module} has no {target.identifier}")
    if not callable(found):
        raise TargetNotFound(f"{where} is not callable")
    home = getattr(found, "__module__", None)
    if not isinstance(home, str) or not allows((target.module,), home):
        raise TargetNotFound(f"{where} is defined elsewhere, in {home}: name the module that defines it")
    return found  # type: ignore[no-any-return]


def is_worker_class(found: Found) -> bool:
    """Whether a target is a `Worker` class."""
    return isinstance(found, type) and issubclass(found, Worker)


def is_plain(found: Found) -> bool:
    """Whether a target needs an operating-system process: neither a `Worker` class nor a coroutine function."""
    return not is_worker_class(found) and not inspect.iscoroutinefunction(found)


Answer = Callable[[Found | SwormError], None]


class Loader:
    """Loads targets for one loop, each at most once at a time; what was found is remembered, failures are not."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float = IMPORT_TIMEOUT) -> None:
        self.loop = loop
        self.timeout = timeout
        self.found: dict[str, Found] = {}
        self.waiting: dict[str, list[Answer]] = {}
        self.blocked: set[str] = set()  #: imports that did not come back in time, and still run

    def load(self, text: str, target: Target, answer: Answer) -> None:
        """Call `answer` on the loop with what the target names, or the error; within `timeout` seconds."""
        if text in self.blocked:
            answer(self._late(target))
            return
        waiting = self.waiting.get(text)
        if waiting is not None:
            waiting.append(answer)
            return
        self.waiting[text] = [answer]
        late = self.loop.call_later(self.timeout, self._give_up, text, target)
        threading.Thread(target=self._run, args=(text, target, late), name=f"import {text}", daemon=True).start()

    def _run(self, text: str, target: Target, late: asyncio.TimerHandle) -> None:
        outcome: Found | SwormError
        try:
            outcome = load(target)
        except SwormError as error:
            outcome = error
        try:
            self.loop.call_soon_threadsafe(self._done, text, outcome, late)
        except RuntimeError:
            return  # the loop has ended meanwhile: nobody waits

    def _done(self, text: str, outcome: Found | SwormError, late: asyncio.TimerHandle) -> None:
        late.cancel()
        self.blocked.discard(text)
        if not isinstance(outcome, SwormError):
            self.found[text] = outcome
        self._answer(text, outcome)

    def _give_up(self, text: str, target: Target) -> None:
        self.blocked.add(text)
        self._answer(text, self._late(target))

    def _late(self, target: Target) -> StartError:
        return StartError(f"importing {target.module} took longer than {self.timeout:g} s")

    def _answer(self, text: str, outcome: Found | SwormError) -> None:
        for answer in self.waiting.pop(text, ()):
            answer(outcome)
