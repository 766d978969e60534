"""The dramatiq actors: `command` (an operator's wish for one node) and `report` (what a node has to tell).

Law: an actor takes one argument, a dict of MessagePack values, and hands it to the handler that was registered for
it; it decides nothing and imports no one who handles. Neither is ever retried by dramatiq: a command that is too old
must not run, and a report waits here until its handler can take it.

A command is for one incarnation of one node, on the queue `node.<name>`, and has an id and a deadline. A report batch
is on the queue `observer`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import dramatiq

from supervisor.broker import GiveBack
from supervisor.outage import Backoff, Outage

logger = logging.getLogger(__name__)

COMMAND = "command"
REPORT = "report"

#: The queue of all reports.
OBSERVER_QUEUE = "observer"

#: Version of both messages.
VERSION = 1

Payload = dict[str, Any]
Handler = Callable[[Payload], None]


def node_queue(node: str) -> str:
    """The queue of a node's commands."""
    return f"node.{node}"


def answers_key(client_id: str) -> str:
    """The list to which agents push the answers for one client process."""
    return f"sworm:answers:{client_id}"


def send_command(broker: dramatiq.Broker, node: str, command: Payload) -> None:
    """Enqueue a command for a node. Raises what the broker raises."""
    _enqueue(broker, node_queue(node), COMMAND, command)


def send_report(broker: dramatiq.Broker, batch_id: str, node: str, incarnation: int, reports: list[Payload]) -> None:
    """Enqueue a batch of reports; `batch_id` lets the receiver know one that was sent twice. Raises what the broker
    does.
    """
    batch = {"v": VERSION, "id": batch_id, "node": node, "incarnation": incarnation, "reports": reports}
    _enqueue(broker, OBSERVER_QUEUE, REPORT, batch)


def _enqueue(broker: dramatiq.Broker, queue: str, actor: str, payload: Payload) -> None:
    broker.enqueue(dramatiq.Message(queue_name=queue, actor_name=actor, args=(payload,), kwargs={}, options={}))


def declare_command(broker: dramatiq.Broker, node: str, handler: Handler) -> None:
    """Register `handler` for the commands of one node; it must return at once and raise nothing."""
    dramatiq.actor(broker=broker, actor_name=COMMAND, queue_name=node_queue(node))(handler)


class ReportActor:
    """Hands each batch to `record` and, while that raises one of `transient`, tries the same batch again.

    Batches stay in order as long as one thread consumes the queue. Any other exception is logged and its batch
    dropped: it would fail for ever. `stop` lets a waiting batch go back to its queue.
    """

    def __init__(self, record: Handler, transient: tuple[type[Exception], ...]) -> None:
        self._record = record
        self._transient = transient
        self._stopping = threading.Event()
        self._outage = Outage("what records reports", logger)

    def stop(self) -> None:
        """Give up waiting; the batch in hand goes back to its queue."""
        self._stopping.set()

    def __call__(self, batch: Any) -> None:
        """Record one batch, however long that takes."""
        if not isinstance(batch, dict):
            logger.error("dropped a report: it must be an object, not %s", type(batch).__name__)
            return
        backoff = Backoff(longest=2.0)
        while True:
            try:
                self._record(batch)
            except self._transient as error:
                self._outage.failed(error)
                if self._stopping.wait(backoff.next()):
                    raise GiveBack(str(error)) from error
            else:
                self._outage.recovered()
                return


def declare_report(
    broker: dramatiq.Broker, record: Handler, transient: tuple[type[Exception], ...] = ()
) -> ReportActor:
    """Register who records reports: the observer's `record`, which must accept a batch that comes twice."""
    actor = ReportActor(record, transient)
    dramatiq.actor(broker=broker, actor_name=REPORT, queue_name=OBSERVER_QUEUE)(actor.__call__)
    return actor
