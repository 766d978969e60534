"""Replaces every agent of a cluster by a new one, one after the other, and loses nothing on the way.

    python -m examples.rolling_upgrade --data .sworm

For each node: look whether every process of it has somewhere to go; drain it, which hands its processes over with their
state and ends it; start its successor under the same name and address, from whatever code lies on the disk now; wait
until that is alive and ready, then go on. The first thing that goes wrong ends the script with status 1, with the rest
of the cluster as it was: run it again once that is repaired, naming the nodes that are left.

It needs nothing but REST and a command that starts an agent: by default `./sworm agent` of this checkout, detached;
`--start` takes another, as `ssh {host} systemctl start sworm-{name}`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

Seen = TypeVar("Seen")

ROOT = Path(__file__).resolve().parent.parent
AGENT = shlex.join([str(ROOT / "sworm"), "agent", "--data", "{data}", "--name", "{name}", "--listen", "{listen}"])

#: Seconds between two looks at something, and until it must have happened.
EVERY, PATIENCE = 0.2, 90.0


class Failed(Exception):
    """The upgrade cannot go on; its sentence says why."""


class Cluster:
    """The control plane, over REST."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to one request. Raises `Failed` with the server's words."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        asked = Request(f"{self._url}/api/v1{path}", data, headers, method=method)  # noqa: S310 - the caller's own URL
        try:
            with urlopen(asked, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise Failed(f"{path}: {json.load(error).get('detail', error)}") from None
        except URLError as error:
            raise Failed(f"{self._url} does not answer: {error.reason}") from None

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are up."""
        return [node for node in self.ask("GET", "/nodes?limit=1000")["items"] if node["status"] == "alive"]


def until(what: str, look: Callable[[], Seen]) -> Seen:
    """Look until something true is seen; returns that."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise Failed(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(EVERY)
    return seen


def replace(cluster: Cluster, node: dict[str, Any], start: Callable[[dict[str, Any]], int | None]) -> None:
    """Empty and end one agent, and start its successor."""
    name = node["name"]
    moves = cluster.ask("POST", f"/nodes/{name}/drain", {"dry_run": True})["moves"]
    stuck = [move for move in moves if move["problem"]]
    if stuck:
        raise Failed(f"{name} stays: {stuck[0]['sworm']}/{stuck[0]['name']}: {stuck[0]['problem']}")
    say(f"{name}: {len(moves)} processes move")
    drain(cluster, name)
    until(f"the agent of {name} has ended", lambda: not answers(node["url"]))
    pid = start(node)
    fresh = until(f"{name} is back", lambda: returned(cluster, node))
    until(f"{name} is ready", lambda: answers(fresh["url"]))
    say(f"{name}: replaced, incarnation {fresh['incarnation']}" + (f", process {pid}" if pid is not None else ""))


def drain(cluster: Cluster, name: str) -> None:
    """Hand everything over; returns once the node has left without a process."""
    begun = cluster.ask("POST", f"/nodes/{name}/drain", {"deadline_s": 60, "reason": "rolling upgrade"})

    def ended() -> Any:
        told = cluster.ask("GET", f"/operations/{begun['id']}")
        return told if told["ended_at"] else None

    told = until(f"{name} is empty", ended)
    if told["state"] != "succeeded":
        raise Failed(f"the drain of {name} {told['state']}: {(told['problem'] or {}).get('detail', 'no reason given')}")


def returned(cluster: Cluster, node: dict[str, Any]) -> Any:
    """The node's successor, once it is alive."""
    known = {one["name"]: one for one in cluster.nodes()}
    fresh = known.get(node["name"])
    return fresh if fresh is not None and fresh["incarnation"] > node["incarnation"] else None


def answers(mesh_url: str) -> bool:
    """Whether an agent says at its mesh URL that it is ready."""
    where = urlsplit(mesh_url)
    scheme = "https" if where.scheme == "wss" else "http"
    try:
        with urlopen(f"{scheme}://{where.netloc}/readyz", timeout=5) as answer:  # noqa: S310
            return bool(json.load(answer)["ready"])
    except (OSError, ValueError):
        return False


def starter(command: str, data: Path) -> Callable[[dict[str, Any]], int | None]:
    """What starts a node's successor by this command; returns the process id of one that goes on in the foreground."""

    def start(node: dict[str, Any]) -> int | None:
        where = urlsplit(node["url"])
        values = {"name": node["name"], "listen": where.netloc, "host": where.hostname, "data": str(data)}
        words = [word.format_map(values) for word in shlex.split(command)]
        (data / "logs").mkdir(parents=True, exist_ok=True)
        with (data / "logs" / f"{node['name']}.log").open("ab") as log:
            agent = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        agent.returncode = 0  # it goes on without us: nobody waits for it here
        return agent.pid

    return start


def say(text: str) -> None:
    """Tell whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def connect(data: Path) -> Cluster:
    """The control plane that the environment names, else the one of the folder."""
    url, token = os.environ.get("SWORM_URL"), os.environ.get("SWORM_TOKEN")
    if url and token:
        return Cluster(url.rstrip("/"), token)
    try:
        told = json.loads((data / "cluster.json").read_text())
    except OSError as error:
        raise Failed(f"no cluster runs in {data}: {error}; or set SWORM_URL and SWORM_TOKEN") from None
    return Cluster(told["url"], told["token"])


def main(arguments: list[str]) -> int:
    """Replace the nodes named, or all; returns the exit status."""
    parser = argparse.ArgumentParser(prog="rolling_upgrade", description="Replace every agent, one after the other.")
    parser.add_argument("nodes", nargs="*", help="names of nodes (default: all that are alive)")
    parser.add_argument("--data", type=Path, default=Path(".sworm"), help="the cluster's folder (default: .sworm)")
    parser.add_argument("--start", default=AGENT, help="starts an agent; {name}, {listen}, {host} and {data} are set")
    options = parser.parse_args(arguments)
    try:
        cluster = connect(options.data)
        known = {node["name"]: node for node in cluster.nodes()}
        if unknown := set(options.nodes) - known.keys():
            raise Failed(f"no node that is alive is named {sorted(unknown)[0]!r}")
        for name in options.nodes or sorted(known):
            replace(cluster, known[name], starter(options.start, options.data.absolute()))
    except Failed as error:
        sys.stderr.write(f"rolling_upgrade: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
