"""Commands that are programs of their own: the parts in the foreground, Django's commands, simulator, benchmarks.

Law: each hands its arguments over unread, with the environment of the cluster in the data folder filled in where the
caller has set nothing; the command line's process becomes that program.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from swormweb import environ
from swormweb.launch import files, parts, ports, testing
from swormweb.launch.cluster import Cluster
from swormweb.launch.errors import LaunchError
from swormweb.launch.folder import Folder

Arguments = list[str]

#: What the control plane cannot run without.
_NEEDED = ("DATABASE_URL", "REDIS_URL", "SWORM_SECRET_KEY")


def environment(data: Path) -> dict[str, str]:
    """The caller's environment, completed from the cluster in `data` when there is one."""
    folder = Folder(data.absolute())
    if not folder.is_claimed:
        return parts.caller_environment(os.environ, Path.cwd())
    cluster = Cluster(Folder.existing(data))
    if not cluster.is_planned:
        return parts.caller_environment(os.environ, Path.cwd())
    known = cluster.environment()
    return {**known, **{name: value for name, value in os.environ.items() if value and name != "PYTHONPATH"}}


def _take_data(arguments: Arguments) -> Path:
    """Remove `--data DIR` from the arguments; returns DIR."""
    for index, word in enumerate(arguments):
        if word == "--data" and index + 1 < len(arguments):
            data = arguments[index + 1]
            del arguments[index : index + 2]
            return Path(data)
        if word.startswith("--data="):
            del arguments[index]
            return Path(word.partition("=")[2])
    return Path(".sworm")


def _become(command: tuple[str, ...], environ_: dict[str, str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environ_)  # noqa: S606 - without a shell is what is meant


def _control_plane(arguments: Arguments) -> dict[str, str]:
    """The environment of a command that needs the database; refuses when there is none."""
    data = _take_data(arguments)
    known = environment(data)
    missing = [name for name in _NEEDED if not known.get(name)]
    if missing:
        raise LaunchError(f"no cluster was started in {data}, and {', '.join(missing)} is not set")
    return known


def _managed(name: str) -> Callable[[Arguments], int]:
    def run(arguments: Arguments) -> int:
        known = _control_plane(arguments)
        return _become(parts.manage(name, *arguments), known)

    return run


def _once(name: str) -> Callable[[Arguments], int]:
    """A command that asks the database once: a pool would only retry, and log, where one refusal says it."""

    def run(arguments: Arguments) -> int:
        known = _control_plane(arguments)
        return _become(parts.manage(name, *arguments), {**known, "SWORM_DATABASE_POOL": "0"})

    return run


def _agent(arguments: Arguments) -> int:
    known = environment(_take_data(arguments))
    return _become(parts.manage("agent", *arguments), parts.for_agent(known))


def _listen(arguments: Arguments) -> tuple[str, int]:
    """Host and port of `--listen HOST:PORT`; raises ValueError for anything else."""
    if not arguments:
        return ports.HOST, 8000
    if len(arguments) != 2 or arguments[0] != "--listen":
        raise ValueError
    host, _, port = arguments[1].rpartition(":")
    if not host or not 1 <= int(port) <= 65_535:
        raise ValueError
    return host, int(port)


def _web(arguments: Arguments) -> int:
    known = _control_plane(arguments)
    try:
        host, port = _listen(arguments)
    except ValueError:
        sys.stderr.write("usage: sworm web [--listen HOST:PORT] [--data DIR]\n")
        return 2
    try:
        environ.read(known)
    except environ.BadSetting as error:
        raise LaunchError(str(error)) from None
    if files.are_stale(known):
        collect = parts.manage("collectstatic", "--noinput", "--verbosity", "0")
        subprocess.run(collect, env=known, check=True)
        files.note(known)
    os.chdir(parts.ROOT)  # daphne looks for the application below the current folder
    return _become(parts.web_command(host, port), known)


def _module(module: str, what: str) -> Callable[[Arguments], int]:
    def run(arguments: Arguments) -> int:
        known = environment(_take_data(arguments))
        try:
            found = importlib.util.find_spec(f"{module}.__main__")
        except ModuleNotFoundError:
            found = None
        if found is None:
            sys.stderr.write(f"sworm: {what} is not part of this checkout (no module {module})\n")
            return 2
        return _become((sys.executable, "-m", module, *arguments), known)

    return run


#: Command -> (help, how it is run with its arguments).
COMMANDS: dict[str, tuple[str, Callable[[Arguments], int]]] = {
    "test": ("everything needed for the tests, then the tests", testing.run),
    "agent": ("one node in the foreground", _agent),
    "observer": ("the observer in the foreground", _managed("observer")),
    "web": ("pages and REST in the foreground", _web),
    "signin": ("print a new one-time sign-in link", _once("signin")),
    "createsuperuser": ("make an account, as in any Django project", _once("createsuperuser")),
    "token": ("make a token of the REST API", _once("token")),
    "simulate": ("the deterministic simulator", _module("supervisor.simulation", "the simulator")),
    "bench": ("the benchmarks", _module("bench", "the benchmarks")),
}
