"""`up`, the second `up`, `down`: what they promise, seen on real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from swormweb.launch import ports
from swormweb.launch.process import Running
from tests.live.cluster import ROOT, LiveCluster, clean_environment

pytestmark = pytest.mark.live


def used_ports(cluster: LiveCluster) -> list[int]:
    told = cluster.told
    urls = [told["url"], told["database_url"], told["redis_url"], *(agent["mesh_url"] for agent in told["agents"])]
    return [port for url in urls if (port := urllib.parse.urlsplit(url).port)]


def test_a_cluster_comes_up_is_described_and_goes_without_a_trace(
    make_cluster: Callable[..., LiveCluster], tmp_path: Path
) -> None:
    cluster = make_cluster(2)
    with (tmp_path / "lock").open("w") as lock:
        flock(lock, LOCK_EX)  # as `flock FILE ./sworm up --detach` would
        cluster.up(keep=(lock.fileno(),))
    with (tmp_path / "lock").open("w") as lock:
        flock(lock, LOCK_EX | LOCK_NB)  # nothing that stays behind holds it
    told = cluster.told
    assert (cluster.data / "cluster.json").stat().st_mode & 0o777 == 0o600
    assert [agent["name"] for agent in told["agents"]] == ["n1", "n2"]
    assert set(told["services"]) == {"web", "observer", "postgres", "valkey"}
    assert told["url"] == f"http://127.0.0.1:{cluster.port}"
    processes = [Running.of(pid) for pid in cluster.all_pids()]
    assert all(process.alive for process in processes)
    assert cluster.get(f"{cluster.url}/readyz").status == 200
    nodes = cluster.get("/nodes").body["items"]
    assert {node["name"] for node in nodes if node["status"] == "alive"} >= {"n1", "n2"}
    cluster.down()
    assert not any(process.alive for process in processes)
    assert all(ports.is_free(port) for port in used_ports(cluster))
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(cluster.data) in " ".join(p.info["cmdline"] or [])]
    assert not (cluster.data / "cluster.json").exists()


def test_an_os_pid_is_the_part_itself_without_the_keys_of_others(shared_cluster: LiveCluster) -> None:
    for agent in shared_cluster.told["agents"]:
        process = psutil.Process(agent["os_pid"])
        assert f"manage.py agent --name {agent['name']} " in " ".join(process.cmdline())
        environ = process.environ()
        assert not environ.keys() & {"DATABASE_URL", "SWORM_SECRET_KEY", "SWORM_TOKEN"}
        assert shared_cluster.told["database_url"] not in " ".join(environ.values())
    services = shared_cluster.told["services"]
    assert psutil.Process(services["postgres"]).name() == "postgres"
    assert psutil.Process(services["valkey"]).name().startswith("valkey")


def test_no_part_holds_the_callers_streams(shared_cluster: LiveCluster) -> None:
    for pid in shared_cluster.all_pids():
        streams = [Path(f"/proc/{pid}/fd/{number}").readlink() for number in (0, 1, 2)]
        assert streams[0] == Path(os.devnull)
        assert streams[1].is_relative_to(shared_cluster.data)
        assert streams[2].is_relative_to(shared_cluster.data)


def test_a_second_up_starts_what_is_missing_and_leaves_the_rest(live_cluster: LiveCluster) -> None:
    before = {agent["name"]: agent for agent in live_cluster.told["agents"]}
    services, first_link = live_cluster.told["services"], live_cluster.told["sign_in_url"]
    for name in ("n2", "web", "observer", "postgres"):
        live_cluster.kill(name)
    live_cluster.up()
    after = {agent["name"]: agent for agent in live_cluster.told["agents"]}
    assert {name: agent["mesh_url"] for name, agent in after.items()} == {n: a["mesh_url"] for n, a in before.items()}
    assert after["n1"] == before["n1"]
    assert after["n3"] == before["n3"]
    assert after["n2"]["os_pid"] != before["n2"]["os_pid"]
    assert live_cluster.told["services"]["valkey"] == services["valkey"]
    assert all(live_cluster.told["services"][name] != services[name] for name in ("web", "observer", "postgres"))
    assert live_cluster.told["sign_in_url"] != first_link
    assert live_cluster.get("/nodes").status == 200
    assert live_cluster.post("/nodes/n1/drain", {}).status == 202
    live_cluster.up()
    (n1,) = (agent for agent in live_cluster.told["agents"] if agent["name"] == "n1")
    assert n1["os_pid"] != after["n1"]["os_pid"]
    assert live_cluster.get("/nodes/n1").body["status"] == "alive"


def test_up_says_in_its_log_which_part_died_and_starts_nothing(live_cluster: LiveCluster) -> None:
    live_cluster.kill("n3")
    log = live_cluster.data / "logs" / "up.log"
    live_cluster.wait_for("the log names n3", lambda: "n3 has ended" in log.read_text())
    assert live_cluster.agent_ready("n3")[0] == 0


def test_a_taken_port_is_refused_and_nothing_stays(make_cluster: Callable[..., LiveCluster]) -> None:
    cluster = make_cluster(1)
    with socket.socket() as other:
        other.bind((ports.HOST, cluster.port))
        other.listen()
        done = cluster.sworm("up", "--detach", "--data", str(cluster.data), "--port", str(cluster.port), check=False)
    assert done.returncode == 1
    assert f"port {cluster.port} of 127.0.0.1 is taken" in done.stderr
    assert not (cluster.data / "cluster.json").exists()
    assert not json.loads((cluster.data / "state.json").read_text()).get("parts")


def test_servers_of_others_are_used_and_left_alone(
    make_cluster: Callable[..., LiveCluster], database_url: str, redis_url: str
) -> None:
    cluster = make_cluster(1, DATABASE_URL=database_url, REDIS_URL=redis_url)
    cluster.up()
    assert (cluster.told["database_url"], cluster.told["redis_url"]) == (database_url, redis_url)
    assert cluster.told["services"]["postgres"] is None
    assert cluster.told["services"]["valkey"] is None
    assert [node["name"] for node in cluster.get("/nodes").body["items"] if node["status"] == "alive"] == ["n1"]
    cluster.down()
    with psycopg.connect(database_url) as link:
        assert link.execute("select 1").fetchone() == (1,)


@contextmanager
def foreground(cluster: LiveCluster, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`./sworm up` as in a terminal, once it says that it is up."""
    words = ["up", "--empty", "--agents", "1", "--data", str(cluster.data), "--port", str(cluster.port)]
    with output.open("w") as file:
        command = [str(ROOT / "sworm"), *words]
        up = subprocess.Popen(command, env=clean_environment(), cwd=ROOT, stdout=file, stderr=file)
        cluster.wait_for("it says that it is up", lambda: "/signin/" in output.read_text(), 120)
        cluster.told = json.loads((cluster.data / "cluster.json").read_text())
        yield up


def test_ctrl_c_ends_all_of_it(make_cluster: Callable[..., LiveCluster], tmp_path: Path) -> None:
    cluster = make_cluster(1)
    with foreground(cluster, tmp_path / "output") as up:
        processes = [Running.of(pid) for pid in cluster.all_pids()]
        assert len(processes) == 5
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
    assert not any(process.alive for process in processes)
    assert "n1       | " in (tmp_path / "output").read_text()


def test_down_ends_the_up_in_another_terminal_too(make_cluster: Callable[..., LiveCluster], tmp_path: Path) -> None:
    cluster = make_cluster(1)
    with foreground(cluster, tmp_path / "output") as up:
        cluster.down()
        assert up.wait(10) == 0
    assert "n1 was stopped" in (tmp_path / "output").read_text()


def test_a_further_agent_joins_from_the_command_line_and_drains(shared_cluster: LiveCluster, tmp_path: Path) -> None:
    words = [str(ROOT / "sworm"), "agent", "--name", "n9", "--data", str(shared_cluster.data), "--label", "zone=b"]
    with (tmp_path / "output").open("w") as output:
        agent = subprocess.Popen(words, env=clean_environment(), cwd=ROOT, stdout=output, stderr=output)

        def shown() -> dict[str, Any]:
            items = shared_cluster.get("/nodes").body["items"]
            return next((item for item in items if item["name"] == "n9" and item["status"] == "alive"), {})

        assert shared_cluster.wait_for("n9 is on the map", shown)["labels"] == {"zone": "b"}
        agent.terminate()
        assert agent.wait(30) == 0
    shared_cluster.wait_for("n9 has left", lambda: shared_cluster.get("/nodes/n9").body["status"] == "left")


def test_the_operators_verbs_work_on_a_real_cluster(shared_cluster: LiveCluster) -> None:
    data = ("--data", str(shared_cluster.data))
    shared_cluster.sworms("verbs", handoff=True)
    assert "on n" in shared_cluster.sworm("register", "verbs", "a/b", "examples.counters:Counter", *data).stdout
    assert shared_cluster.sworm("call", "verbs", "a/b", '{"op": "increment", "by": 5}', *data).stdout == "5\n"
    listed = json.loads(shared_cluster.sworm("ps", "verbs", "--json", *data).stdout)
    assert [(item["name"], item["state"]) for item in listed] == [("a/b", "running")]
    target = next(name for name in ("n1", "n2") if name != listed[0]["node"])
    shared_cluster.sworm("handoff", "verbs", "a/b", "--to", target, *data)
    assert f"on {target}, running" in shared_cluster.sworm("whereis", "verbs", "a/b", *data).stdout
    assert shared_cluster.sworm("call", "verbs", "a/b", '{"op": "get"}', *data).stdout == "5\n"
    assert "moved" in shared_cluster.sworm("events", "--sworm", "verbs", "--name", "a/b", *data).stdout
    shared_cluster.sworm("unregister", "verbs", "a/b", *data)
    missing = shared_cluster.sworm("whereis", "verbs", "a/b", *data, check=False)
    assert missing.returncode == 1
    assert "unknown_process" in missing.stderr
