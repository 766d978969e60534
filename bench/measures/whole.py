"""The whole system as `./sworm up` starts it: its start, and registrations over REST.

Law: the command line and REST only, on a data folder and ports of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cluster import Bench, Trouble
from bench.figures import percentile
from bench.measures.registering import Measured, numbered
from bench.scale import Scale
from swormweb.cli.rest import Rest
from swormweb.launch import parts, ports

TARGET = "examples.counters:Counter"


class System:
    """One data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = ports.choose(set())

    def sworm(self, *words: str, **environ: str) -> None:
        """Run `./sworm`, with these settings besides ours. Raises `Trouble`."""
        command = [str(parts.ROOT / "sworm"), *words, "--data", str(self.data)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=os.environ | environ
        )
        if done.returncode != 0:
            raise Trouble(f"./sworm {' '.join(words)}: {done.stderr[-2_000:]}")

    def up(self, *more: str, **environ: str) -> float:
        """Start it; returns the seconds that took."""
        begun = time.monotonic()
        self.sworm("up", "--detach", "--port", str(self.port), *more, **environ)
        return time.monotonic() - begun

    @property
    def rest(self) -> Rest:
        """Its REST."""
        told = json.loads((self.data / "cluster.json").read_text())
        return Rest(told["url"], told["token"])


@contextmanager
def system(bench: Bench, name: str) -> Iterator[System]:
    """A data folder for one measurement; what runs with it at the end is ended."""
    whole = System(bench.folder / f"{name}-{time.monotonic_ns()}")
    try:
        yield whole
    finally:
        whole.sworm("down", "--now")


def up(bench: Bench, scale: Scale) -> Measured:
    """A start on a folder and a machine that have started it before, with the demo's processes."""
    with system(bench, "up") as whole:
        whole.up()
        whole.sworm("down")
        took = whole.up()
        if not list(whole.rest.items("/sworms/probes/processes")):
            raise Trouble("the map has no processes")
        yield "up.warm", took


def rest(bench: Bench, scale: Scale) -> Measured:
    """Registrations over REST: after idleness, one after the other, and a batch."""
    with system(bench, "rest") as whole:
        whole.up("--empty")
        asked = whole.rest
        asked.ask("POST", "/sworms", {"name": "resting"})
        _register(asked, "first")
        idle = []
        for number in range(scale.rest_idle):
            time.sleep(scale.rest_idle_seconds)
            idle.append(_register(asked, f"idle-{number}"))
        yield "rest.idle.p50", percentile(idle, 50) * 1e3
        yield "rest.idle.worst", max(idle) * 1e3
        took = [_register(asked, name) for name in numbered(scale.rest)]
        yield "rest.p50", percentile(took, 50) * 1e3
        yield "rest.p99", percentile(took, 99) * 1e3
        yield "rest.batch", _batch(asked, scale.batch)


def _register(asked: Rest, name: str) -> float:
    begun = time.monotonic()
    asked.ask("POST", "/sworms/resting/processes", {"name": name, "target": TARGET})
    return time.monotonic() - begun


def _batch(asked: Rest, count: int) -> float:
    asked.ask("POST", "/sworms", {"name": "batch"})
    items = [{"name": name, "target": TARGET} for name in numbered(count)]
    begun = time.monotonic()
    told = asked.ask("POST", "/sworms/batch/processes:batch", {"items": items})
    wrong = [result for result in told["results"] if result["status"] != 201]
    if wrong:
        raise Trouble(f"{len(wrong)} of {count} items of the batch did not start, as {wrong[0]}")
    asked.ask("GET", f"/sworms/batch/processes/{items[-1]['name']}")
    return time.monotonic() - begun
