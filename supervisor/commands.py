"""Which agent is asked, and what its answer means over HTTP.

Law: nodes come from the read model, the answer from the agent, the promise from both: who commands something waits
here for the agent's word and, in `registry.observed`, for the row that shows it. Nobody who waits holds a database
connection. An agent's refusal becomes the problem of the same code; one without such a problem is `refused`, with the
agent's sentence.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from typing import Any

from django.db import connection

from registry.models import Node, Process, Sworm
from registry.observed import OBSERVER_AGE, learn_age, observer_writes
from registry.problems import CODES, Problem
from supervisor.broker import BROKER_ERRORS
from supervisor.client import Answer, Asked, BrokerUnavailable, default_client
from supervisor.definitions import definition_of
from supervisor.errors import NoAnswer

#: Seconds for a command that runs no user code for long.
SHORT = 5.0
#: Seconds for one that starts or stops a worker.
STARTING = 10.0
#: Seconds for a batch.
BATCH = 60.0
#: Seconds for which a node may keep silent before it counts as gone, where no observer tells.
PING = 0.5
#: Seconds that others have after the first one answered.
TOGETHER = 0.05
#: Threads for asking several nodes at once.
THREADS = 16

#: Statuses of nodes that may answer, the likeliest first.
ASKABLE = ("alive", "draining", "suspect")

#: Nodes that may answer about a sworm, and whether an observer writes. Each command asks this, so it is written out.
_ASKABLE = f"""
    SELECT name, incarnation, status, cordoned, {OBSERVER_AGE} FROM registry_node
    WHERE NOT forgotten AND status = ANY(%s) AND (sworms @> '["*"]' OR sworms @> %s::jsonb)
"""  # noqa: S608 - made of constants

#: Problems of agents that have another name here.
_RENAMED = {
    "not_registered": "unknown_process",
    "bad_value": "invalid",
    "other_incarnation": "no_node",
    "stopping": "no_node",
    "busy": "no_node",
    "too_late": "no_answer",
    "call_failed": "worker_crashed",
    "deadlock": "worker_crashed",
}

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ask")


def nodes_for(sworm: str) -> list[Asked]:
    """The nodes to ask about a sworm, the best first; raises `no_node` when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_ASKABLE, [list(ASKABLE), json.dumps([sworm])])
        rows: list[tuple[str, int, str, bool, float | None]] = cursor.fetchall()
    for *_, age in rows[:1]:
        learn_age(age)
    random.shuffle(rows)  # spreads the load; the sort below is stable
    rows.sort(key=lambda row: (ASKABLE.index(row[2]), row[3]))
    asked = [Asked(name, incarnation) for name, incarnation, *_ in rows]
    if asked and not observer_writes():
        asked = _answering(asked)
    if not asked:
        raise Problem("no_node", f"no live node hosts {sworm}")
    return asked


def node_named(name: str) -> Node:
    """The row of a node that can be asked; a problem when there is none."""
    row = Node.objects.filter(name=name, forgotten=False).first()
    if row is None:
        raise Problem("unknown_node", f"no node is named {name!r}")
    if row.status not in ASKABLE:
        raise Problem("no_node", f"{name} is {row.status}; nobody is there to obey")
    return row


def host_first(sworm: str, name: str) -> list[Asked]:
    """The nodes to ask about a process, the one that runs it first."""
    nodes = nodes_for(sworm)
    host = Process.objects.filter(sworm=sworm, name=name).values_list("node", flat=True).first()
    nodes.sort(key=lambda asked: asked.node != host)
    return nodes


def ask(nodes: Sequence[Asked], op: str, row: Sworm | None, *, deadline: float, **fields: Any) -> Answer:
    """Ask these nodes, one after the other while none answers. Raises a problem when no word comes at all."""
    connection.close()  # back to the pool: the answer may take long
    definition = None if row is None else definition_of(row)
    return _asking(lambda: default_client().ask_any(nodes, op, deadline=deadline, definition=definition, **fields))


def ask_each(
    nodes: Sequence[Sequence[Asked]], op: str, row: Sworm, *, deadline: float, fields: Sequence[dict[str, Any]]
) -> list[Answer | Problem]:
    """The same at several places at once: one answer, or its problem, for each."""
    connection.close()
    definition = definition_of(row)

    def one(asked: Sequence[Asked], its: dict[str, Any]) -> Answer | Problem:
        try:
            return _asking(lambda: default_client().ask_any(asked, op, deadline=deadline, definition=definition, **its))
        except Problem as problem:
            return problem

    return list(_pool.map(one, nodes, fields))


def certain(answer: Answer) -> Any:
    """The result of an answer; raises the problem that a refusal means."""
    if not answer.ok:
        raise problem_of(answer)
    return answer.result


def problem_of(answer: Answer) -> Problem:
    """What an agent's refusal means over HTTP."""
    return refusal(answer.problem, answer.detail)


def refusal(word: str, detail: str) -> Problem:
    """The problem for an agent's short word."""
    code = _RENAMED.get(word, word)
    return Problem(code, detail) if code in CODES else Problem("refused", f"{word}: {detail}")


def _answering(nodes: Sequence[Asked]) -> list[Asked]:
    """Those that answer now, or a moment after the first: the rows may be old."""
    connection.close()
    pings = [_pool.submit(_ping, asked, time.time() + PING) for asked in nodes]
    for ping in as_completed(pings):
        if ping.result():
            wait(pings, TOGETHER)
            break
    return [asked for asked, ping in zip(nodes, pings, strict=True) if ping.done() and ping.result()]


def _ping(asked: Asked, deadline: float) -> bool:
    """Whether a node answers. Raises the problem of a broker that is away."""
    try:
        return _asking(lambda: default_client().ask(asked.node, asked.incarnation, "ping", deadline=deadline)).ok
    except Problem as problem:
        if problem.code != "no_answer":
            raise
        return False


def _asking(send: Callable[[], Answer]) -> Answer:
    try:
        return send()
    except NoAnswer as error:
        raise Problem("no_answer", str(error)) from None
    except (BrokerUnavailable, *BROKER_ERRORS) as error:
        raise Problem("broker_unavailable", str(error)) from None
