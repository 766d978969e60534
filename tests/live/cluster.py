"""A real cluster as a test holds it: started by `./sworm up --detach`, talked to over REST, hurt by signals.

Law: nothing here reaches into a part: only the commands, `cluster.json`, REST and signals are used, as anybody could. A
condition is polled with a limit that is generous; no test passes because of the time it waited.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from websockets.sync.client import ClientConnection, connect

from swormweb.launch.process import Running, wait_ended

Seen = TypeVar("Seen")

ROOT = Path(__file__).resolve().parents[2]

#: What lets a cluster run the workers of `tests/live/code`, as somebody's own.
OWN_WORKERS = {
    "PYTHONPATH": str(ROOT / "tests" / "live" / "code"),
    "SWORM_ALLOWED_MODULES": "examples,live_workers",
}

#: Limit of a condition that normally takes well below a second, in seconds: the machine may be busy with other things.
LIMIT = 30.0

#: Pause between two looks at a condition, in seconds.
EVERY = 0.05

#: Variables of the test session that a cluster of its own must not inherit.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")


def clean_environment() -> dict[str, str]:
    """The session's environment without what belongs to its own servers and settings."""
    return {n: value for n, value in os.environ.items() if n not in FOREIGN and not n.startswith("SWORM_")}


@dataclass(frozen=True)
class Answer:
    """What REST said."""

    status: int
    body: Any
    headers: dict[str, str]


class MapView:
    """The live map as a program of its own sees it, over the stream and nothing else."""

    def __init__(self, link: ClientConnection) -> None:
        self._link = link
        self.revision = -1
        self.processes: dict[tuple[str, str], dict[str, Any]] = {}
        self.nodes: dict[str, dict[str, Any]] = {}

    def until(self, what: str, look: Callable[[MapView], Seen], limit: float = LIMIT) -> Seen:
        """Take in what comes until `look` returns something true; returns that."""
        deadline = time.monotonic() + limit
        while not (seen := look(self)):
            left = deadline - time.monotonic()
            if left <= 0:
                pytest.fail(f"the map does not show within {limit:.0f} s: {what}")
            try:
                self.take(json.loads(self._link.recv(timeout=left)))
            except TimeoutError:
                continue
        return seen

    def take(self, message: dict[str, Any]) -> None:
        """One message of the contract's section 4."""
        match message["type"]:
            case "snapshot":
                self.processes, self.nodes = {}, {}
                self._merge(message["nodes"], message["processes"])
                self.revision = message["revision"]
            case "diff":
                assert message["rev_from"] == self.revision, "no gap on a connection that keeps up"
                for sworm, name in message["removed"]:
                    self.processes.pop((sworm, name), None)
                self._merge(message["nodes"], message["upserts"])
                self.revision = message["rev_to"]
            case "heartbeat":
                assert message["revision"] >= self.revision

    def _merge(self, nodes: list[dict[str, Any]], processes: Any) -> None:
        for node in nodes:
            self.nodes[node["name"]] = {**self.nodes.get(node["name"], {}), **node}
        if isinstance(processes, dict):
            processes = [dict(zip(processes["columns"], row, strict=True)) for row in processes["rows"]]
        for item in processes:
            key = (item["sworm"], item["name"])
            self.processes[key] = {**self.processes.get(key, {}), **item}

    def where(self, sworm: str) -> dict[str, str]:
        """{name: pid} of what runs in a sworm."""
        shown = self.processes.items()
        return {key[1]: item["pid"] for key, item in shown if key[0] == sworm and item["state"] == "running"}


@dataclass
class LiveCluster:
    """One real cluster. `told` is its `cluster.json`, read again after each `up`."""

    data: Path
    port: int
    agents: int
    environ: dict[str, str] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------------------- commands

    def sworm(self, *words: str, check: bool = True, keep: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run `./sworm`, which inherits the files of `keep`; a failure shows what it said."""
        done = subprocess.run(
            [str(ROOT / "sworm"), *words],
            env=clean_environment() | self.environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=keep,
        )
        if check and done.returncode != 0:
            pytest.fail(f"./sworm {' '.join(words)}: status {done.returncode}\n{done.stderr}\n{self.logs()}")
        return done

    def up(self, *more: str, keep: tuple[int, ...] = ()) -> None:
        """Start it, or whatever is missing of it."""
        words = ("--empty", "--data", str(self.data), "--port", str(self.port), "--agents", str(self.agents))
        self.sworm("up", "--detach", *words, *more, keep=keep)
        self.told = json.loads((self.data / "cluster.json").read_text())

    def down(self, *more: str) -> None:
        """End it."""
        self.sworm("down", "--data", str(self.data), *more)

    def logs(self, lines: int = 15) -> str:
        """The last lines of every part's log."""
        files = sorted((self.data / "logs").glob("*.log"))
        tails = {file.name: file.read_text(errors="replace").splitlines()[-lines:] for file in files}
        return "\n".join(f"--- {name}\n" + "\n".join(tail) for name, tail in tails.items())

    # ----------------------------------------------------------------------------------------------------------- REST

    @property
    def url(self) -> str:
        return str(self.told["url"])

    @property
    def token(self) -> str:
        return str(self.told["token"])

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request; `path` is below /api/v1 unless it starts with http. Bytes go as they are, the rest as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        own = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        url = path if path.startswith("http") else f"{self.url}/api/v1{path}"
        asked = urllib.request.Request(url, data=data, method=method, headers=own)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return _answer(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.read(), dict(error.headers))

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("POST", path, body, headers)

    def sworms(self, name: str, **definition: Any) -> None:
        """Have a sworm of this definition."""
        answer = self.post("/sworms", {"name": name, **definition})
        assert answer.status == 201, answer

    def register_many(self, sworm: str, names: list[str], target: str, **more: Any) -> list[dict[str, Any]]:
        """Register names in one batch; every one must start. Returns the results in order."""
        items = [{"name": name, "target": target, **more} for name in names]
        answer = self.post(f"/sworms/{sworm}/processes:batch", {"items": items})
        assert answer.status == 200, answer
        results: list[dict[str, Any]] = answer.body["results"]
        assert {result["status"] for result in results} == {201}, [r for r in results if r["status"] != 201][:3]
        return results

    def processes(self, sworm: str) -> dict[str, dict[str, Any]]:
        """Every process of a sworm as REST lists them, by name."""
        found: dict[str, dict[str, Any]] = {}
        cursor = ""
        while True:
            more = f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""
            answer = self.get(f"/sworms/{sworm}/processes?limit=1000{more}")
            assert answer.status == 200, answer
            for item in answer.body["items"]:
                assert item["name"] not in found, f"{item['name']} is listed twice"
                found[item["name"]] = item
            cursor = answer.body["next_cursor"]
            if not cursor:
                return found

    def call(self, sworm: str, name: str, message: Any, timeout_ms: int = 5000) -> Answer:
        """Call a process."""
        path = f"/sworms/{sworm}/processes/{urllib.parse.quote(name, safe='')}/call"
        return self.post(path, {"message": message, "timeout_ms": timeout_ms})

    def operation(self, answer: Answer) -> dict[str, Any]:
        """Wait for the end of the operation that an answer began; it must succeed."""
        assert answer.status == 202, answer

        def ended() -> dict[str, Any] | None:
            row: dict[str, Any] = self.get(f"/operations/{answer.body['id']}").body
            return row if row["state"] not in ("pending", "running") else None

        row = self.wait_for("the operation ends", ended)
        assert row["state"] == "succeeded", row
        return row

    def call_all(self, sworm: str, names: list[str], message: Any) -> dict[str, Any]:
        """Call many processes, some at a time; every one must reply. Returns {name: reply}."""
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda name: self.call(sworm, name, message, 20_000), names))
        assert {answer.status for answer in answers} == {200}, [a for a in answers if a.status != 200][:3]
        return {name: answer.body["reply"] for name, answer in zip(names, answers, strict=True)}

    @contextmanager
    def map(self, sworm: str = "*") -> Iterator[MapView]:
        """Look at the live map, with the token."""
        url = f"{self.url.replace('http://', 'ws://')}/ws/map?sworm={sworm}"
        with connect(url, max_size=None, open_timeout=LIMIT) as link:
            link.send(json.dumps({"token": self.token}))
            view = MapView(link)
            view.until("a snapshot", lambda view: view.revision >= 0)
            yield view

    # ---------------------------------------------------------------------------------------------------------- parts

    def pid(self, name: str) -> int:
        """The operating system's id of an agent or a service."""
        for agent in self.told["agents"]:
            if agent["name"] == name:
                return int(agent["os_pid"])
        return int(self.told["services"][name])

    def all_pids(self) -> list[int]:
        """Of every part."""
        services = [pid for pid in self.told["services"].values() if pid]
        return [agent["os_pid"] for agent in self.told["agents"]] + services

    def signal(self, name: str, number: int) -> Running:
        """Send a signal to a part; returns its process, to be waited for."""
        process = Running.of(self.pid(name))
        os.kill(process.pid, number)
        return process

    def kill(self, name: str) -> None:
        """SIGKILL a part and wait until it is gone."""
        assert wait_ended([self.signal(name, signal.SIGKILL)], LIMIT)

    def stop(self, name: str) -> None:
        """SIGTERM a part and wait until it has ended by itself."""
        assert wait_ended([self.signal(name, signal.SIGTERM)], LIMIT), f"{name} did not end\n{self.logs()}"

    def agent_ready(self, name: str) -> tuple[int, dict[str, Any]]:
        """An agent's own /readyz; status 0 when it does not answer."""
        mesh_url = next(agent["mesh_url"] for agent in self.told["agents"] if agent["name"] == name)
        try:
            with urllib.request.urlopen(mesh_url.replace("ws://", "http://") + "/readyz", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {}
        except OSError:
            return 0, {}

    def agents_ready(self, *names: str) -> dict[str, dict[str, Any]]:
        """What /readyz of these agents says; each must be ready."""
        answers = {name: self.agent_ready(name) for name in names}
        assert {status for status, _ in answers.values()} == {200}, answers
        return {name: body for name, (_, body) in answers.items()}

    def running(self, *names: str) -> int:
        """How many processes these agents say they run, together."""
        return sum(int(body["processes"]) for body in self.agents_ready(*names).values())

    def make_whole(self) -> None:
        """Bring back what is gone, let every node take processes, and end what is left of them."""
        if not all(Running.of(pid).alive for pid in self.all_pids()):
            self.up()
        names = {agent["name"] for agent in self.told["agents"]}
        self.wait_for("all agents are seen alive", lambda: names <= self._seen_alive())
        for node in self.get("/nodes").body["items"]:
            if node["cordoned"]:
                self.post(f"/nodes/{node['name']}/uncordon", {})
        while left := self.get("/processes?limit=1000").body["items"]:
            for item in left:
                self.request("DELETE", f"/sworms/{item['sworm']}/processes/{urllib.parse.quote(item['name'], safe='')}")

    def _seen_alive(self) -> set[str]:
        return {node["name"] for node in self.get("/nodes").body["items"] if node["status"] == "alive"}

    def defects(self) -> list[str]:
        """The lines in the logs of our own parts that speak of a defect."""
        marks = (" ERROR ", " CRITICAL ", "never awaited", "was never retrieved", "Exception in thread")
        files = [self.data / "logs" / f"{part}.log" for part in ("n1", "n2", "n3", "web", "observer")]
        lines = [(file.name, line) for file in files for line in file.read_text(errors="replace").splitlines()]
        return [f"{name}: {line}" for name, line in lines if any(mark in line for mark in marks)]

    def wait_for(self, what: str, look: Callable[[], Seen], limit: float = LIMIT) -> Seen:
        """Poll until `look` returns something true; returns that. Fails with the logs after `limit` seconds."""
        deadline = time.monotonic() + limit
        while not (seen := look()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {limit:.0f} s: {what}\n{self.logs()}")
            time.sleep(EVERY)
        return seen


def _answer(status: int, body: bytes, headers: dict[str, str]) -> Answer:
    try:
        return Answer(status, json.loads(body) if body else None, headers)
    except ValueError:
        return Answer(status, body.decode(errors="replace"), headers)


@contextmanager
def further_agent(cluster: LiveCluster, name: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """One more agent, as a child of ours: so that its exit status is seen."""
    words = [str(ROOT / "sworm"), "agent", "--name", name, "--data", str(cluster.data), *flags]
    environ = {**clean_environment(), **cluster.environ}
    with (cluster.data / "logs" / f"{name}.log").open("w") as output:
        agent = subprocess.Popen(words, env=environ, cwd=ROOT, stdout=output, stderr=output)
        cluster.wait_for("it has joined", lambda: joined(cluster, name))
        try:
            yield agent
        finally:
            agent.kill()
            agent.wait()


def joined(cluster: LiveCluster, name: str) -> bool:
    """Whether REST shows a node alive."""
    answer = cluster.get(f"/nodes/{name}")
    return answer.status == 200 and answer.body["status"] == "alive"
