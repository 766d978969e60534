"""From a change in an agent to those who watch the map.

Law: the viewers are WebSocket clients in one process of their own, on the same machine, so that its clock measures both
ends; each frame counts when it has been parsed. What a browser then draws is not in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from threading import Timer

from bench.cluster import DRIVER, Bench, Trouble
from bench.figures import percentile
from bench.measures.registering import Measured, numbered
from bench.measures.whole import System, system
from bench.scale import Scale
from swormweb.cli.rest import Rest
from swormweb.launch import parts

#: Changes a second.
RATE = 500

#: Seconds that viewers get to connect, and then to see the last change.
PATIENCE = 60.0

SWORM = "watched"


def stream(bench: Bench, scale: Scale) -> Measured:
    """Registrations at a steady rate by a worker, and when each was seen by each of the viewers."""
    with system(bench, "stream") as whole:
        whole.up("--empty", SWORM_ALLOWED_MODULES="bench,examples")
        asked, names = whole.rest, numbered(scale.changes)
        for name in (SWORM, "driving"):
            asked.ask("POST", "/sworms", {"name": name})
        asked.ask("POST", "/sworms/driving/processes", {"name": "driver", "target": DRIVER})
        with viewers(whole, scale.viewers, names[-1]) as watching:
            told = _change(asked, names)
            seen = _seen(watching)
        begun = dict(zip(names, told, strict=True))
        took = [moment - begun[name] for viewer in seen for name, moment in viewer.items()]
        missing = scale.viewers * len(names) - len(took)
        if missing:
            raise Trouble(f"{missing} of {scale.viewers * len(names)} changes were not seen")
        yield "stream.p50", percentile(took, 50) * 1e3
        yield "stream.p99", percentile(took, 99) * 1e3
        yield "stream.rate", len(names) / (max(told) - min(told)) if len(names) > 1 else 0.0


def _change(asked: Rest, names: list[str]) -> list[float]:
    """Have the driver register them; when each was asked for, seconds since 1970."""
    message = {"job": "register_at", "sworm": SWORM, "names": names, "rate": RATE}
    body = {"message": message, "timeout_ms": int(PATIENCE * 1000)}
    told: dict[str, list[float]] = asked.ask("POST", "/sworms/driving/processes/driver/call", body, PATIENCE + 5)
    return told["reply"]


class viewers:  # noqa: N801 - used as a statement
    """So many viewers in a process of their own, all of which have their snapshot when the block begins."""

    def __init__(self, whole: System, count: int, last: str) -> None:
        told = json.loads((whole.data / "cluster.json").read_text())
        url = f"{told['url'].replace('http', 'ws', 1)}/ws/map?sworm={SWORM}"
        words = [url, told["token"], str(count), last, str(PATIENCE)]
        self._command = [sys.executable, "-m", "bench.viewer", *words]

    def __enter__(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, text=True, cwd=parts.ROOT, stdin=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            self.process.kill()
            raise Trouble("the viewers did not get their snapshots")
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def _seen(watching: subprocess.Popen[str]) -> list[dict[str, float]]:
    """What the viewers tell at their end: for each, name -> when it was first seen, seconds since 1970."""
    late = Timer(2 * PATIENCE, watching.kill)
    late.start()
    assert watching.stdout is not None
    line = watching.stdout.readline()
    late.cancel()
    if not line:
        raise Trouble("the viewers did not see the last change in time")
    found: list[dict[str, float]] = json.loads(line)
    return found
