"""The embedded servers: started, killed, started again with what they held, ended."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from swormweb.launch import ports
from swormweb.launch.errors import PartFailed
from swormweb.launch.postgres import Postgres, binaries
from swormweb.launch.privileges import Privileges, as_nobody
from swormweb.launch.process import Running, end
from swormweb.launch.valkey import Valkey


@pytest.fixture
def postgres(tmp_path: Path) -> Postgres:
    server = Postgres(tmp_path / "postgres", ports.choose(set()), "secret", tmp_path / "log", settings={"fsync": "off"})
    server.initialize()
    return server


def test_a_database_survives_the_death_of_its_server(postgres: Postgres) -> None:
    first = postgres.start_ready()
    with psycopg.connect(postgres.url) as link:
        link.execute("create table kept (word text)")
        link.execute("insert into kept values ('here')")
    assert not end([Running.of(first.pid)], signal.SIGKILL, 10)
    first.wait()
    second = postgres.start_ready()
    with psycopg.connect(postgres.url) as link:
        assert link.execute("select word from kept").fetchall() == [("here",)]
    assert not end([Running.of(second.pid)], signal.SIGINT, 10)
    assert second.wait() == 0


def test_a_server_that_waits_for_its_clients_is_known_as_stopping(postgres: Postgres) -> None:
    assert not postgres.is_stopping
    server = postgres.start_ready()
    assert not postgres.is_stopping
    with psycopg.connect(postgres.url) as link:
        server.terminate()
        while not postgres.is_stopping:
            assert server.poll() is None
        assert link.execute("select 1").fetchone() == (1,)
    assert not end([Running.of(server.pid)], signal.SIGINT, 10)
    server.wait()
    assert not postgres.is_stopping


def test_the_process_started_is_the_postmaster_itself(postgres: Postgres) -> None:
    server = postgres.start_ready()
    process = Running.of(server.pid).process()
    assert process is not None
    assert process.name() == "postgres"
    assert int((postgres.data / "postmaster.pid").read_text().splitlines()[0]) == server.pid
    end([Running.of(server.pid)], signal.SIGINT, 10)
    server.wait()


def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    server = postgres.start_ready()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace("secret", "guess"))
    end([Running.of(server.pid)], signal.SIGINT, 10)
    server.wait()


def test_a_half_made_database_is_made_anew(postgres: Postgres) -> None:
    (postgres.folder / "pg_hba.conf").unlink()
    postgres._unfinished.touch()
    postgres.initialize()
    assert (postgres.folder / "pg_hba.conf").exists()
    assert not postgres._unfinished.exists()


def test_a_server_that_cannot_start_says_why(postgres: Postgres) -> None:
    (postgres.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(PartFailed, match=r"postgres: the server did not start: .*incompatible"):
        postgres.start_ready()


def nobody_can_reach(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in [path, *path.parents])


@pytest.mark.skipif(
    os.geteuid() != 0 or not nobody_can_reach(binaries()), reason="only root may run programs as somebody else"
)
def test_root_without_user_namespaces_runs_it_as_nobody(tmp_path: Path) -> None:
    server = Postgres(
        tmp_path / "postgres", ports.choose(set()), "secret", tmp_path / "log", as_nobody(), {"fsync": "off"}
    )
    try:
        server.initialize()
        process = server.start_ready()
        running = Running.of(process.pid).process()
        assert running is not None
        assert running.uids().effective == pwd.getpwnam("nobody").pw_uid
        with psycopg.connect(server.url) as link:
            assert link.execute("select 1").fetchone() == (1,)
        assert not end([Running.of(process.pid)], signal.SIGINT, 10)
        process.wait()
    finally:
        shutil.rmtree(server.data.parent)


def test_another_owner_keeps_its_data_elsewhere() -> None:
    nobody = Privileges(("setpriv",), 65534)
    wanted = Path("/root/private/.sworm/postgres")
    assert nobody.data_folder(wanted).name == "postgres"
    assert not nobody.data_folder(wanted).is_relative_to("/root")
    assert Privileges().data_folder(wanted) == wanted


def test_the_broker_keeps_what_it_was_given(tmp_path: Path) -> None:
    broker = Valkey(tmp_path / "valkey", ports.choose(set()), "secret", tmp_path / "log")
    first = broker.start_ready()
    with redis.Redis.from_url(broker.url) as client:
        client.set("word", "here")
        client.execute_command("WAITAOF", 1, 0, 5000)
    end([Running.of(first.pid)], signal.SIGKILL, 10)
    first.wait()
    second = broker.start_ready()
    with redis.Redis.from_url(broker.url) as client:
        assert client.get("word") == b"here"
    end([Running.of(second.pid)], signal.SIGTERM, 10)
    second.wait()


def test_the_broker_wants_its_password(tmp_path: Path) -> None:
    broker = Valkey(tmp_path / "valkey", ports.choose(set()), "secret", tmp_path / "log", persistent=False)
    server = broker.start_ready()
    with redis.Redis(port=broker.port, retry=Retry(NoBackoff(), 0)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    assert (tmp_path / "valkey" / "valkey.conf").stat().st_mode & 0o777 == 0o600
    end([Running.of(server.pid)], signal.SIGTERM, 10)
    server.wait()


def test_a_broker_whose_port_is_taken_says_so(tmp_path: Path) -> None:
    first = Valkey(tmp_path / "one", ports.choose(set()), "secret", tmp_path / "log", persistent=False)
    server = first.start_ready()
    with pytest.raises(PartFailed, match="valkey: the server did not start"):
        Valkey(tmp_path / "two", first.port, "other", tmp_path / "log", persistent=False).start_ready()
    end([Running.of(server.pid)], signal.SIGTERM, 10)
    server.wait()
