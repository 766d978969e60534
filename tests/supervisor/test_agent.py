"""Agents as real processes: how they start, what signals mean, what kill -9 costs, and life without a broker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import redis
from django.core.management import CommandError, call_command

from tests.supervisor.processes import Cluster, command, environment, until

pytestmark = pytest.mark.live

Start = Callable[..., Cluster]


@pytest.fixture
def start(broker_url: str, tmp_path: Path) -> Iterator[Start]:
    made: list[Cluster] = []

    def start(*names: str, redis_url: str = broker_url) -> Cluster:
        made.append(Cluster(redis_url, tmp_path, names))
        made[-1].together()
        return made[-1]

    yield start
    for one in made:
        one.close()


def reports(url: str) -> list[dict[str, Any]]:
    """Everything that was reported and waits for an observer."""
    with redis.Redis.from_url(url) as client:
        ids: Any = client.lrange("sworm:observer", 0, -1)
        bodies: list[Any] = [client.hget("sworm:observer.msgs", batch) for batch in ids]
    return [report for body in bodies for report in msgspec.msgpack.decode(body)["args"][0]["reports"]]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--name", "N1"], "--name"),
        (["--name", "n1", "--listen", "nowhere"], "--listen"),
        (["--name", "n1", "--join", "http://a:1"], "--join"),
        (["--name", "n1", "--sworms", "a,,b"], "--sworms"),
        (["--name", "n1", "--label", "zone"], "--label"),
        (["--name", "n1", "--capacity", "none"], "--capacity"),
        (["--name", "n1", "--drain-deadline", "0"], "--drain-deadline"),
    ],
)
def test_a_bad_flag_ends_the_start_with_status_2(flags: list[str], named: str) -> None:
    with pytest.raises(CommandError, match=f"^{named} is ") as raised:
        call_command("agent", *flags)
    assert raised.value.returncode == 2


def test_an_address_in_use_is_one_line_and_status_2(broker_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = command("--name", "n1", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        ended = subprocess.run(
            flags, env=environment(broker_url), capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "cannot listen on 127.0.0.1" in line


def test_three_agents_live_through_a_kill_a_restart_and_a_drain(start: Start, broker_url: str) -> None:
    cluster = start("n1", "n2", "n3")
    names = cluster.register(90)
    assert set(cluster.places("n1").values()) == {"n1", "n2", "n3"}
    assert [cluster.value(name, at="n2") for name in names] == list(range(90))

    untouched = {
        item["name"]: item["pid"] for item in cluster.ask("list", at="n1").result["items"] if item["node"] != "n3"
    }
    cluster.agents["n3"].signal(signal.SIGKILL)
    cluster.agents["n3"].wait()
    until(lambda: len(cluster.places("n1")) == 90 and "n3" not in cluster.places("n1").values(), "all names back")
    now = {item["name"]: item["pid"] for item in cluster.ask("list", at="n1").result["items"]}
    assert untouched.items() <= now.items()
    assert sum(cluster.agents[name].ready()["processes"] for name in ("n1", "n2")) == 90

    cluster.restart("n3")
    cluster.together()
    assert cluster.agents["n3"].ready()["processes"] == 0

    for number, name in enumerate(names):
        cluster.ask("call", name=name, message={"op": "increment", "by": number}, timeout_ms=20_000)
    before = [cluster.value(name) for name in names]
    cluster.agents["n1"].signal(signal.SIGTERM)
    assert cluster.agents["n1"].wait() == 0
    assert [cluster.value(name) for name in names] == before
    assert "n1" not in cluster.places("n2").values()
    until(lambda: any(report["kind"] == "dead" for report in reports(broker_url)), "the death is reported")


def test_a_second_sigterm_ends_at_once(start: Start) -> None:
    cluster = start("n1", "n2")
    cluster.ask("register", at="n1", name="stuck", target="tests.supervisor.jobs:Stuck")
    host = cluster.agents[cluster.ask("get", name="stuck").result["node"]]
    host.signal(signal.SIGTERM)
    until(lambda: host.ready().get("status") == "draining", "draining")
    host.signal(signal.SIGTERM)
    began = time.monotonic()
    assert host.wait() == -signal.SIGTERM
    assert time.monotonic() - began < 5


def test_sigusr1_to_all_ends_all_and_moves_nothing(start: Start) -> None:
    cluster = start("n1", "n2")
    cluster.register(40)
    for agent in cluster.agents.values():
        agent.signal(signal.SIGUSR1)
    assert [agent.wait() for agent in cluster.agents.values()] == [0, 0]
    for agent in cluster.agents.values():
        assert "ends with its cluster" in agent.log.read_text()
        assert "Traceback" not in agent.log.read_text()


def test_sighup_changes_nothing(start: Start) -> None:
    cluster = start("n1")
    cluster.agents["n1"].signal(signal.SIGHUP)
    assert cluster.ask("ping").ok


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_children_never_outlive_their_agent(start: Start, number: signal.Signals) -> None:
    cluster = start("n1")
    answer = cluster.ask("register", name="plain", target="tests.supervisor.jobs:plain_function")
    assert answer.ok, answer
    children = until(cluster.agents["n1"].children, "a child")
    cluster.agents["n1"].signal(number)
    cluster.agents["n1"].wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_an_agent_without_its_broker_goes_on_and_tells_later(start: Start, mortal_valkey: Any) -> None:
    cluster = start("n1", "n2", redis_url=mortal_valkey.url)
    cluster.register(20)
    mortal_valkey.stop()
    cluster.agents["n2"].signal(signal.SIGKILL)
    cluster.agents["n2"].wait()
    until(lambda: cluster.agents["n1"].ready()["processes"] == 20, "all names back while the broker is away")
    mortal_valkey.start()
    assert len(cluster.places("n1")) == 20
    until(lambda: any(report["kind"] == "dead" for report in reports(mortal_valkey.url)), "the death is reported")

    def told() -> list[str]:
        return [line for line in cluster.agents["n1"].log.read_text().splitlines() if "the broker is" in line]

    until(lambda: len(told()) >= 2, "the outage and its end are in the log")  # the report may arrive before the line
    assert len(told()) <= 4


def test_an_agent_without_any_broker_serves_the_mesh(start: Start) -> None:
    cluster = start("n1", "n2", redis_url="")
    assert cluster.agents["n1"].page("/healthz") == "alive\n"


def test_pages_tell_the_facts(start: Start) -> None:
    cluster = start("n1", "n2")
    cluster.register(10)
    told = cluster.agents["n1"].ready()
    assert (told["name"], told["status"], told["sworms"], told["hosts"]) == ("n1", "up", ["rooms"], ["*"])
    assert told["names"] == {"rooms": 10}
    assert [peer["name"] for peer in told["peers"]] == ["n2"]
    assert len(told["members"]) == 2
    metrics = cluster.agents["n1"].page("/metrics")
    assert 'sworm_names{sworm="rooms"} 10.0' in metrics
    assert 'sworm_members{state="alive"} 2.0' in metrics
    assert "sworm_mesh_messages_total" in metrics
    assert cluster.agents["n1"].page("/secrets") == ""


def test_an_agent_connects_to_nothing_but_its_peers_and_the_broker(start: Start, broker_url: str) -> None:
    cluster = start("n1", "n2")
    broker = int(broker_url.rpartition(":")[2].partition("/")[0])
    agents = {agent.process.pid for agent in cluster.agents.values()}
    ours = {
        found.laddr.port
        for pid in agents
        for found in psutil.Process(pid).net_connections("tcp")
        if found.status == psutil.CONN_LISTEN
    }
    for pid in agents:
        for found in psutil.Process(pid).net_connections("tcp"):
            if found.status == psutil.CONN_ESTABLISHED and found.laddr.port not in ours:
                assert found.raddr.port in {broker, *ours}
    assert os.environ.get("DATABASE_URL")  # which this process has, and agents were not given
