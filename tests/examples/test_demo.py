"""The demo: what it starts on a cluster as `cluster.json` describes it, and that a second start changes nothing."""

from __future__ import annotations

import json
import shutil

import pytest

from examples import chores, demo
from supervisor.core.spec import Definition, check

TOLD = {
    "url": "http://127.0.0.1:8000",
    "agents": [{"name": "n1", "os_pid": 1, "mesh_url": "ws://127.0.0.1:7001"}],
    "database_url": "postgresql://sworm:secret@127.0.0.1:5001/postgres",
    "redis_url": "redis://:secret@127.0.0.1:6001/0",
}


def test_every_endpoint_is_probed_without_credentials() -> None:
    assert demo.endpoints(TOLD) == {
        "web": "http://127.0.0.1:8000/healthz",
        "n1": "http://127.0.0.1:7001/healthz",
        "database": "tcp://127.0.0.1:5001",
        "broker": "tcp://127.0.0.1:6001",
    }
    assert "secret" not in json.dumps(demo.processes(TOLD))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache.example", "tcp://cache.example:6379"),
        ("postgresql://user@db.example/name", "tcp://db.example:5432"),
        ("unix:///run/redis.sock", ""),
        ("postgresql:///name?host=/run/postgresql", ""),
    ],
)
def test_a_server_has_an_address_or_only_a_file(url: str, address: str) -> None:
    assert demo.address(url) == address


def test_its_sworms_can_be_obeyed_and_are_those_of_its_processes() -> None:
    assert {definition["name"] for definition in demo.SWORMS} == set(demo.processes(TOLD))
    for definition in demo.SWORMS:
        assert check(Definition(**definition)) == {}


def test_the_plain_function_speaks_when_the_disk_is_nearly_full(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(seconds: float) -> None:
        raise InterruptedError(seconds)

    monkeypatch.setattr(chores, "time", type("time", (), {"sleep": staticmethod(ended)}))
    shown = []
    for at_least in (0.0, 1.0):
        with pytest.raises(InterruptedError):
            chores.watch_disk("/", 5.0, at_least)
        shown.append(capfd.readouterr().out)
    usage = shutil.disk_usage("/")
    assert shown[0] == ""
    assert bool(shown[1]) == (usage.free < usage.total)
