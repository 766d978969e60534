"""An agent: one operating-system process that is a node of the cluster and, with a broker, a dramatiq worker of one
queue.

Law: this is the only place that knows signals, incarnations and exit statuses; it decides nothing about processes.
Agents never open a connection to PostgreSQL. With broker and control plane gone, everything but commands and reports
goes on.

    SIGTERM, SIGINT   drain: hand every process over, leave, exit 0; exit 1 when some could not be handed over
    the second one    end at once, as if it had been killed
    SIGUSR1           end with the cluster (`./sworm down`): every worker gets terminate("shutdown"), no process is
    moved,
                      exit 0. Send it to all agents, so that nobody restores what another one ends.
    SIGHUP            ignored: there is nothing to read again

Exit status 2: the node cannot start as it was told (a bad value, an address in use). Children never outlive the agent.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import dramatiq
import uvloop

from registry.core.events import Report
from supervisor import tasks
from supervisor.broker import DoorbellBroker, embedded_worker
from supervisor.commands_in import Incoming
from supervisor.config import AgentConfig, first_incarnation
from supervisor.outbox import Counts, Outbox
from supervisor.pages import AgentPages
from supervisor.shell import Shell, Superseded
from supervisor.vitals import Vitals

logger = logging.getLogger(__name__)

#: Seconds that the last answers and reports get to leave.
LAST_WORDS = 1.0


#: Allocations after which the cyclic collector looks at the youngest objects, and how often at the older ones: a
#: sixth of each registration's time at Python's own (700, 10, 10).
COLLECT_AFTER = (20_000, 20, 20)

#: Seconds after which a thread that computes lets another one run; Python's own 5 ms are as long as whole requests.
SWITCH = 0.001


class Wish(Enum):
    """How the agent was told to end."""

    DRAIN = "drain"
    SHUTDOWN = "shutdown"


class CannotStart(Exception):
    """The node cannot start as it was told; one line says why."""


class Post:
    """The agent's way to and from the broker: its one queue, answers and reports. Outlives an incarnation."""

    def __init__(self, config: AgentConfig, loop: asyncio.AbstractEventLoop) -> None:
        self._broker = DoorbellBroker(config.redis_url)
        self._loop = loop
        self._queue = tasks.node_queue(config.name)
        self._worker: dramatiq.Worker | None = None
        self._take: Callable[[tasks.Payload], None] = lambda payload: None
        self.counts = Counts()
        tasks.declare_command(self._broker, config.name, self._arrived)

    def open(self, origin: str) -> Outbox:
        """The outbox of a new incarnation."""
        outbox = Outbox(self._broker, origin, self.counts)
        outbox.start()
        return outbox

    def deliver_to(self, take: Callable[[tasks.Payload], None]) -> None:
        """Hand commands to this, on the node's loop, from now on."""
        self._take = take
        if self._worker is None:
            self._worker = embedded_worker(self._broker, self._queue)

    def _arrived(self, payload: tasks.Payload) -> None:
        """On dramatiq's thread."""
        self._loop.call_soon_threadsafe(self._take_one, payload)

    def _take_one(self, payload: tasks.Payload) -> None:
        self._take(payload)


@dataclass(slots=True)
class _Life:
    """What stands for one incarnation."""

    shell: Shell
    outbox: Outbox | None
    incoming: Incoming | None = None
    vitals: Vitals | None = None


class Agent:
    """Runs one incarnation after the other, mostly one."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._post: Post | None = None
        self._wishes: asyncio.Queue[Wish] = asyncio.Queue()

    async def main(self) -> int:
        """Run until told to end; returns the exit status. Raises `CannotStart`."""
        loop = asyncio.get_running_loop()
        if self._config.redis_url:
            self._post = Post(self._config, loop)
        last = 0
        while True:
            life = self._begin(first_incarnation(last))
            try:
                return await self._live(life)
            except Superseded as error:
                logger.warning("%s is over: %s", life.shell.origin, error)
                if error.was_up:
                    await life.shell.stop_workers("superseded")
                    return 1
                last = error.last
            finally:
                if life.vitals is not None:
                    life.vitals.stop()
                await life.shell.close()
                if life.outbox is not None:
                    await asyncio.to_thread(life.outbox.close, LAST_WORDS)

    def tell(self, wish: Wish) -> None:
        """Ask the agent to end; a drain under way may become a shutdown."""
        self._wishes.put_nowait(wish)

    def _begin(self, incarnation: int) -> _Life:
        outbox: Outbox | None = None

        def report(report: Report) -> None:
            if outbox is not None:
                outbox.report(report)

        shell = Shell(self._config, incarnation, report)
        if self._post is not None:
            outbox = self._post.open(shell.origin)
        return _Life(shell, outbox)

    async def _live(self, life: _Life) -> int:
        shell = life.shell
        counts = self._post.counts if self._post is not None else None
        try:
            await shell.start(AgentPages(shell, counts))
        except OSError as error:
            raise CannotStart(f"cannot listen on {self._config.host}:{self._config.port}: {error}") from error
        logger.info("%s serves the mesh at %s", shell.origin, shell.mesh.identity.url)
        if self._post is not None and life.outbox is not None:
            life.incoming = Incoming(shell.origin, shell, life.outbox)
            self._post.deliver_to(life.incoming.take)
            life.vitals = Vitals(self._config.name, life.outbox.report, shell.node.members)
            life.vitals.start()
        return await self._until_ended(life)

    async def _until_ended(self, life: _Life) -> int:
        shell = life.shell
        while True:
            wish = await self._next_wish(shell)
            if wish is None:
                shell.ended.result()  # raises `Superseded`
                return self._drained(shell)
            if wish is Wish.SHUTDOWN:
                logger.info("%s ends with its cluster: %d processes stop", shell.origin, shell.node.process_count)
                if life.incoming is not None:
                    life.incoming.closed = True
                await shell.stop_workers("shutdown")
                return 0
            logger.info("%s drains: %d processes leave", shell.origin, shell.node.process_count)
            shell.told_to_end = True
            shell.drain(self._config.drain_deadline, leave=True)

    async def _next_wish(self, shell: Shell) -> Wish | None:
        """The next thing asked of the agent; None: the incarnation has ended."""
        asking = asyncio.ensure_future(self._wishes.get())
        both: set[asyncio.Future[Any]] = {asking, shell.ended}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if shell.ended.done():
            asking.cancel()
            return None
        return asking.result()

    def _drained(self, shell: Shell) -> int:
        if not shell.left_behind:
            logger.info("%s is empty and has left", shell.origin)
            return 0
        names = ", ".join(f"{sworm}/{name}" for sworm, name in shell.left_behind[:20])
        more = len(shell.left_behind) - 20
        also = f" and {more} more" if more > 0 else ""
        logger.error("%s leaves without having handed over: %s%s", shell.origin, names, also)
        return 1


def run(config: AgentConfig) -> int:
    """Run an agent in this process until a signal ends it; returns the exit status."""
    _tune_interpreter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        agent = Agent(config)
        _listen_to_signals(runner.get_loop(), agent)
        try:
            return runner.run(agent.main())
        except CannotStart as error:
            sys.stderr.write(f"agent {config.name}: {error}\n")
            return 2


def _tune_interpreter() -> None:
    """Let the cyclic collector look seldom: registrations live long and make no cycles, and each look costs all
    callers. Let the loops take turns often: a worker that computes must not make the registry wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH)


def _listen_to_signals(loop: asyncio.AbstractEventLoop, agent: Agent) -> None:
    asked = False

    def drain(number: signal.Signals) -> None:
        nonlocal asked
        if asked:
            _end_at_once(number)
        asked = True
        agent.tell(Wish.DRAIN)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain, number)
    loop.add_signal_handler(signal.SIGUSR1, agent.tell, Wish.SHUTDOWN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end_at_once(number: signal.Signals) -> None:
    """End as this signal ends a process that does not listen to it."""
    logger.warning("%s came again: this node ends at once, its processes are restored elsewhere", number.name)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
