"""The rows of the table: what each measures, in which unit, and what it must reach.

Law: values only. A row without a target is told for orientation. `original` is what the library that Sworm follows
was seen to reach on a machine of this kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

AT_LEAST = "at least"
AT_MOST = "at most"


@dataclass(frozen=True)
class Target:
    """What a row's median must reach."""

    sense: str
    limit: float

    def reached(self, value: float) -> bool:
        """Whether a value is as good as asked."""
        return value >= self.limit if self.sense == AT_LEAST else value <= self.limit


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    text: str
    unit: str
    target: Target | None = None
    original: str = ""


@dataclass(frozen=True)
class Result:
    """A row with what several runs gave, in the order of the runs."""

    row: Row
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value that counts."""
        return median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None when there is none."""
        return self.row.target.reached(self.median) if self.row.target else None


def _least(limit: float) -> Target:
    return Target(AT_LEAST, limit)


def _most(limit: float) -> Target:
    return Target(AT_MOST, limit)


RATE = "/s"
SHARE = "last/first"

_ROWS = (
    Row("register.1.1", "register, 1 node, 1 caller", RATE, _least(8_000), "3 600 to 6 500"),
    Row("register.3.1.small", "register, 3 nodes, 1 caller, 1 000 names", RATE, _least(4_000), "440 to 1 220"),
    Row("register.3.1.large", "register, 3 nodes, 1 caller, 10 000 names", RATE, _least(4_000), "340 to 500"),
    Row("register.3.1.tenth", "the same: rate of the last tenth to the first", SHARE, _least(0.9), "0.2"),
    Row("register.3.50.small", "register, 3 nodes, 50 callers, 1 000 names", RATE, _least(12_000), "1 160 to 2 540"),
    Row("register.3.50.large", "register, 3 nodes, 50 callers, 10 000 names", RATE, _least(12_000), "320 to 615"),
    Row("register.3.50.tenth", "the same: rate of the last tenth to the first", SHARE, _least(0.9)),
    Row("many.rate", "register, 3 nodes, 50 callers, 100 000 names", RATE, _least(12_000)),
    Row("many.tenth", "the same: rate of the last tenth to the first", SHARE, _least(0.9)),
    Row("register.3.1.cpu", "CPU of all three nodes for a registration, 1 caller", "µs"),
    Row("register.3.50.cpu", "CPU of all three nodes for a registration, 50 callers", "µs"),
    Row("whereis.small", "whereis_name, local, 1 000 names", RATE, _least(1_000_000), "400 000 to 570 000"),
    Row("whereis.large", "whereis_name, local, 10 000 names", RATE, _least(1_000_000), "210 000 to 340 000"),
    Row("many.whereis", "whereis_name, local, 100 000 names", RATE, _least(1_000_000)),
    Row("registered.large", "registered(), 10 000 names", "ms", _most(3), "6 to 10"),
    Row("seen.p50", "a new name seen by a node that neither hosts nor asked, p50", "ms", _most(3), "175"),
    Row("seen.p99", "the same, p99", "ms", _most(15), "292"),
    Row("spread", "5 000 names registered and seen by all, from the start", "s", _most(1.2), "5.6 to 30"),
    Row("call.local.p50", "call, local, p50", "µs", _most(5), "1.2 to 2.2"),
    Row("call.local.rate", "call, local, 1 caller", RATE, _least(150_000), "290 000 to 630 000"),
    Row("call.remote.p50", "call, to another node, p50", "µs", _most(120), "55 to 97"),
    Row("call.remote.rate", "call, to another node, 1 caller", RATE, _least(12_000), "9 000 to 15 000"),
    Row("call.remote.50", "call, to another node, 50 callers", RATE, _least(30_000)),
    Row("call.remote.cpu", "CPU of both nodes for a call to another node, 50 callers", "µs"),
    Row("kill.time", "kill -9 of one of 3 nodes, 1 000 names, all answer again", "s", _most(0.5), "0.17 to 0.4"),
    Row("kill.lost", "the same: names lost", "names", _most(0), "58 to 632 in 3 of 6 trials"),
    Row("stop.time", "graceful stop of one of 3 nodes, 1 000 names, all answer again", "s", _most(0.5), "0.4 to 0.9"),
    Row("stop.lost", "the same: names lost", "names", _most(0), "425 to 575 in 3 of 6 trials"),
    Row("stop.exit", "the same: until the node has ended", "s"),
    Row("handoff.small.time", "handoff on shutdown, 300 counters of 1 KiB, all answer", "s", _most(0.4), "2.2 to 2.5"),
    Row("handoff.small.lost", "the same: states or names lost", "names", _most(0), "names, in 12 of 18 trials"),
    Row("handoff.small.exit", "the same: until the node has ended", "s", None, "3.1"),
    Row("handoff.large.time", "the same, 100 KiB", "s", _most(1.0), "2.2 to 2.3"),
    Row("handoff.large.lost", "the same: states or names lost", "names", _most(0)),
    Row("handoff.large.exit", "the same: until the node has ended", "s", None),
    Row("heal.calls", "split of 3 nodes healed, 100 names on both sides, each runs once again", "s", _most(1.0)),
    Row("heal.lookups", "the same: lookups agree on all nodes", "s", _most(1.0), "0.2 to 21"),
    Row("heal.twice", "the same: names that run twice at the end", "names", _most(0), "54 to 89 in 3 of 4 trials"),
    Row("memory.host", "memory for a name where it runs", "KB", _most(6), "15 to 20"),
    Row("memory.replica", "memory for a name on another node", "KB", _most(1.2), "15 to 20"),
    Row("idle", "idle CPU of a node with 5 000 names", "%", _most(0.7), "1"),
    Row("up.warm", "./sworm up on a warm machine, to a map with processes", "s", _most(5)),
    Row("rest.idle.p50", "REST register, one at a time, after 10 s of idleness, p50", "ms", _most(12)),
    Row("rest.idle.worst", "the same, the slowest", "ms", _most(40)),
    Row("rest.p50", "REST register, one after the other, p50", "ms", _most(12)),
    Row("rest.p99", "the same, p99", "ms", _most(40)),
    Row("rest.batch", "REST batch of 10 000, until the last is seen by GET", "s", _most(3)),
    Row("stream.p50", "500 changes a second in an agent, each until each of 50 viewers has it, p50", "ms", _most(150)),
    Row("stream.p99", "the same, p99", "ms", _most(400)),
    Row("stream.rate", "the same: changes made", RATE, _least(495)),
)  # fmt: skip

#: By key, in the order of the table.
ROWS: dict[str, Row] = {row.key: row for row in _ROWS}


def results(measured: Iterable[tuple[str, float]]) -> list[Result]:
    """What was measured, row by row, in the order of the table. Raises KeyError for an unknown row."""
    values: dict[str, list[float]] = {}
    for key, value in measured:
        values.setdefault(ROWS[key].key, []).append(value)
    return [Result(row, tuple(values[key])) for key, row in ROWS.items() if key in values]
