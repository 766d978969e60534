"""Registering from outside the cluster: one process, or thousands at once.

Law: success is said only once the read model shows it (or, while no observer writes, once the agent says so, marked
`"observed": false`). A wish has a claim id, so that asking a second node cannot start a second process. Results of a
batch stand in the order of its items.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from registry import items
from registry.models import Sworm
from registry.observed import wait_all_observed
from registry.problems import Problem, done_already
from supervisor import commands
from supervisor.client import Answer

ALREADY = "already_started"


@dataclass(frozen=True)
class Wish:
    """What shall run under a name. Values have passed the door."""

    name: str
    target: str
    args: list[Any]
    kwargs: dict[str, Any]
    isolation: str | None
    meta: dict[str, Any]
    claim: str = field(default_factory=lambda: uuid.uuid4().hex)

    def fields(self) -> dict[str, Any]:
        """The wish as an agent takes it."""
        return {
            "name": self.name,
            "target": self.target,
            "args": self.args,
            "kwargs": self.kwargs,
            "isolation": self.isolation,
            "meta": self.meta,
            "claim": self.claim,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of a wish: the process that runs, and whether it ran before; or the problem."""

    item: dict[str, Any] | None = None
    problem: Problem | None = None
    already: bool = False


@dataclass(frozen=True)
class Begun:
    """A registration whose process runs; the read model may not show it yet."""

    row: Sworm
    wish: Wish
    answer: Answer
    deadline: float

    @property
    def already(self) -> bool:
        """Whether it ran before."""
        return not self.answer.ok

    def shown(self) -> dict[str, Any]:
        """Wait until GET shows the process; returns its item."""
        outcome = next(_outcomes(self.row, [self.wish], [self.answer], self.deadline))
        assert outcome.item is not None
        return outcome.item


def register(row: Sworm, wish: Wish) -> Begun:
    """Register one process. Raises a problem when nothing runs under the name."""
    deadline = time.time() + commands.STARTING
    nodes = commands.nodes_for(row.name)
    answer = commands.ask(nodes, "register", row, deadline=deadline, sworm=row.name, **wish.fields())
    if not _runs(answer):
        _wait_shown(row, [answer], deadline)
        raise commands.problem_of(answer)
    return Begun(row, wish, answer, deadline)


def register_batch(row: Sworm, wishes: Sequence[Wish]) -> list[Outcome]:
    """Register many, spread over the nodes; an outcome for each, in order."""
    deadline = time.time() + commands.BATCH
    answers: dict[int, Answer] = {}
    first: dict[str, int] = {}
    later: list[int] = []
    for index, wish in enumerate(wishes):
        if first.setdefault(wish.name, index) != index:
            later.append(index)
    # A name that stands twice is the first one's; the others find it running, or have their turn.
    for turn in (list(first.values()), later):
        if turn:
            answers.update(zip(turn, _ask_all(row, [wishes[index] for index in turn], deadline), strict=True))
    with done_already("what could be was started"):
        return list(_outcomes(row, wishes, [answers[index] for index in range(len(wishes))], deadline))


def _ask_all(row: Sworm, wishes: Sequence[Wish], deadline: float) -> list[Answer]:
    nodes = commands.nodes_for(row.name)
    share = -(-len(wishes) // len(nodes))
    parts = [wishes[start : start + share] for start in range(0, len(wishes), share)]
    turns = [[*nodes[index:], *nodes[:index]] for index in range(len(parts))]
    fields = [{"sworm": row.name, "items": [wish.fields() for wish in part]} for part in parts]
    answers = commands.ask_each(turns, "register_batch", row, deadline=deadline, fields=fields)
    return [one for part, answer in zip(parts, answers, strict=True) for one in _each(answer, len(part))]


def _each(answer: Answer | Problem, count: int) -> Iterable[Answer]:
    """The answers to the items of one part."""
    if isinstance(answer, Problem):
        return [Answer(False, None, answer.code, answer.detail)] * count
    if not answer.ok:
        return [answer] * count
    results: list[dict[str, Any]] = answer.result
    if len(results) != count:
        return [Answer(False, None, "refused", f"the agent answered {len(results)} of {count} items")] * count
    return [
        Answer(bool(one["ok"]), one.get("result"), one.get("problem", ""), one.get("detail", "")) for one in results
    ]


def _outcomes(row: Sworm, wishes: Sequence[Wish], answers: Sequence[Answer], deadline: float) -> Iterator[Outcome]:
    """Wait until the read model shows what runs, then tell it."""
    running = [(wish.name, answer.result) for wish, answer in zip(wishes, answers, strict=True) if _runs(answer)]
    observed = _wait_shown(row, answers, deadline)
    rows = items.processes_by_name(row.name, [name for name, _ in running])
    for wish, answer in zip(wishes, answers, strict=True):
        yield _outcome(row, wish, answer, rows.get(wish.name), observed)


def _wait_shown(row: Sworm, answers: Sequence[Answer], deadline: float) -> bool:
    """Wait until the read model shows what these answers speak of: what runs, and that nothing is left of what failed
    to start.
    """
    wanted: dict[tuple[str, str], int] = {}
    for result in (answer.result for answer in answers):
        if isinstance(result, dict) and result.get("origin"):
            key = (row.name, str(result["origin"]))
            wanted[key] = max(wanted.get(key, 0), int(result.get("version", 0)))
    return wait_all_observed(wanted, deadline) if wanted else True


def _runs(answer: Answer) -> bool:
    return isinstance(answer.result, dict) and (answer.ok or answer.problem == ALREADY)


def _outcome(row: Sworm, wish: Wish, answer: Answer, shown: dict[str, Any] | None, observed: bool) -> Outcome:
    if not answer.ok and answer.problem != ALREADY:
        return Outcome(problem=commands.problem_of(answer))
    result = answer.result if isinstance(answer.result, dict) else {}
    item = shown
    if shown is None or shown["epoch"] < result.get("epoch", 0):
        item = {**_as_answered(row, wish if answer.ok else _unknown(wish), result), "observed": observed}
    return Outcome(item=item, already=not answer.ok)


def _unknown(wish: Wish) -> Wish:
    """What is known of somebody else's process under that name: nothing but the name."""
    return Wish(wish.name, "", [], {}, None, {})


def _as_answered(row: Sworm, wish: Wish, result: dict[str, Any]) -> dict[str, Any]:
    """The item of a process that the read model does not show: not yet, or no more."""
    return {
        "sworm": row.name,
        "name": wish.name,
        "pid": result.get("pid", ""),
        "node": result.get("node", ""),
        "epoch": result.get("epoch", 0),
        "state": result.get("state", "running"),
        "target": wish.target,
        "args": wish.args,
        "kwargs": wish.kwargs,
        "isolation": wish.isolation or row.isolation,
        "groups": [],
        "meta": wish.meta,
        "restarts": 0,
        "started_at": datetime.now(UTC),
        "revision": 0,
    }
