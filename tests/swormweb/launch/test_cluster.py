"""What a launcher decides once and keeps: ports, keys, number of agents, environments."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from swormweb.launch import parts, ports
from swormweb.launch.cluster import Cluster
from swormweb.launch.errors import LaunchError
from swormweb.launch.folder import Folder

CALLER = {"PATH": "/usr/bin", "HOME": "/home/somebody"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.claim(tmp_path / "data")


@pytest.fixture
def cluster(folder: Folder) -> Cluster:
    cluster = Cluster(folder, CALLER)
    cluster.plan(3, ports.choose(set()))
    return cluster


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_plan_is_kept(folder: Folder, cluster: Cluster) -> None:
    again = Cluster(folder, CALLER)
    again.plan(None, None)
    assert again.state == cluster.state
    assert again.agents == ["n1", "n2", "n3"]


def test_more_agents_keep_the_ports_of_the_first(folder: Folder, cluster: Cluster) -> None:
    again = Cluster(folder, CALLER)
    again.plan(5, None)
    assert again.agents == ["n1", "n2", "n3", "n4", "n5"]
    assert {name: again.port(name) for name in cluster.agents} == {name: cluster.port(name) for name in cluster.agents}


def test_every_part_has_a_port_of_its_own(cluster: Cluster) -> None:
    used = list(cluster.state["ports"].values())
    assert len(used) == len(set(used)) == 6


@pytest.mark.parametrize("count", [0, 65])
def test_a_senseless_number_of_agents_is_refused(folder: Folder, count: int) -> None:
    with pytest.raises(LaunchError, match="--agents is"):
        Cluster(folder, CALLER).plan(count, None)


def test_a_taken_port_is_refused(folder: Folder, taken: int) -> None:
    with pytest.raises(LaunchError, match=f"port {taken} of 127.0.0.1 is taken"):
        Cluster(folder, CALLER).plan(3, taken)


def test_a_running_web_keeps_its_port(cluster: Cluster) -> None:
    cluster.record(parts.WEB, os.getpid())
    cluster.plan(None, cluster.port(parts.WEB))
    with pytest.raises(LaunchError, match="runs on port"):
        cluster.plan(None, ports.choose(set()))


def test_servers_of_others_are_used_and_not_started(folder: Folder) -> None:
    theirs = {"DATABASE_URL": "postgresql://u:p@db/x", "REDIS_URL": "redis://broker:6379/0"}
    cluster = Cluster(folder, {**CALLER, **theirs})
    cluster.plan(1, ports.choose(set()))
    assert cluster.postgres is None
    assert cluster.valkey is None
    assert (cluster.database_url, cluster.redis_url) == tuple(theirs.values())
    assert set(cluster.state["ports"]) == {"web", "n1"}


def test_an_agent_does_not_get_the_control_planes_keys(cluster: Cluster) -> None:
    environ = {**cluster.environment(), "SWORM_TOKEN": "swm_secret"}
    part = parts.agent("n1", 1, environ, cluster.mesh_urls(but="n1"))
    values = " ".join([*part.environ.values(), *part.command])
    for secret in (cluster.state["postgres_password"], cluster.state["secret_key"], "swm_secret"):
        assert secret not in values
    assert part.environ["REDIS_URL"] == cluster.redis_url
    assert part.environ["SWORM_CLUSTER_KEY"] == cluster.state["cluster_key"]
    assert part.environ["HOME"] == "/home/somebody"
    joined = [word for name in ("n2", "n3") for word in ("--join", parts.mesh_url(cluster.port(name)))]
    assert part.command[-4:] == tuple(joined)
    nursery = parts.nursery(environ)
    assert not nursery.environ.keys() & parts.NOT_FOR_AGENTS


def test_no_secret_stands_on_a_command_line(cluster: Cluster) -> None:
    environ = cluster.environment()
    ours = [parts.web(1, environ), parts.observer(environ, []), parts.agent("n1", 1, environ, [])]
    lines = [word for part in ours for word in part.command]
    for name in ("postgres_password", "valkey_password", "secret_key", "cluster_key"):
        assert not any(cluster.state[name] in word for word in lines)


def test_the_callers_own_settings_reach_every_part(folder: Folder) -> None:
    own = {"SWORM_ALLOWED_MODULES": "examples,mine", "SWORM_MESH_PRESET": "local", "SWORM_CLUSTER_KEY": "k" * 40}
    cluster = Cluster(folder, {**CALLER, **own})
    cluster.plan(1, ports.choose(set()))
    environ = parts.agent("n1", 1, cluster.environment(), []).environ
    assert {name: environ[name] for name in own} == own


def test_a_bad_setting_is_refused_before_anything_starts(folder: Folder) -> None:
    cluster = Cluster(folder, {**CALLER, "SWORM_MESH_PRESET": "wlan"})
    cluster.plan(1, ports.choose(set()))
    with pytest.raises(LaunchError, match="SWORM_MESH_PRESET is 'wlan'; it must be one of"):
        cluster.check_environment()


def test_a_relative_search_path_holds_from_any_folder(tmp_path: Path) -> None:
    found = parts.absolute_path("my/code:/other::", tmp_path).split(":")
    assert found == [f"{tmp_path}/my/code", "/other", str(parts.ROOT)]


def test_what_runs_is_known_by_more_than_its_id(cluster: Cluster) -> None:
    process = subprocess.Popen(["sleep", "600"])
    cluster.record("n1", process.pid)
    assert cluster.runs("n1")
    assert not cluster.runs("n2")
    cluster.state["parts"]["n1"]["created"] -= 1000
    assert not cluster.runs("n1")
    process.kill()
    process.wait()


def test_the_description_has_the_shape_that_scripts_rely_on(cluster: Cluster) -> None:
    cluster.state["token"] = "swm_x"
    for name in ("n1", "web", "observer", "postgres", "valkey"):
        cluster.record(name, os.getpid())
    told = cluster.description("http://127.0.0.1:1/signin/x")
    assert set(told) == {"url", "sign_in_url", "token", "agents", "services", "database_url", "redis_url"}
    assert told["agents"] == [{"name": "n1", "os_pid": os.getpid(), "mesh_url": parts.mesh_url(cluster.port("n1"))}]
    assert told["services"] == dict.fromkeys(("web", "observer", "postgres", "valkey"), os.getpid())
