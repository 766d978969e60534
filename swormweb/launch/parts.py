"""The parts of a cluster: the command that each one is, and the environment that each one gets.

Law: an agent runs users' code, so it gets neither the database's URL nor the key that signs sessions nor anybody's
token; everything else of the caller's environment it does get. The process started is the part itself: no shell, no
wrapper.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swormweb.launch import ports

#: The checkout: where `manage.py` is.
ROOT = Path(__file__).resolve().parent.parent.parent

POSTGRES = "postgres"
VALKEY = "valkey"
WEB = "web"
OBSERVER = "observer"

#: The control plane's own settings, which an agent must not hold.
NOT_FOR_AGENTS = frozenset(
    {"DATABASE_URL", "SWORM_SECRET_KEY", "SWORM_TOKEN", "SWORM_URL", "SWORM_STATIC_ROOT", "SWORM_DATABASE_POOL"}
)

#: Largest message on a live stream, in bytes: a snapshot of 100 000 processes. Daphne's own 1 MiB ends at 8 000.
_WEB_MESSAGE = str(64 * 1024 * 1024)

#: What the nursery's command line leaves free for the longest title of an agent, in characters.
_TITLE_ROOM = 600

#: How long daphne waits for a request that it is still answering when it stops, in seconds.
_WEB_CLOSE = "5"


#: The command line of what makes the database ready.
PREPARE = (sys.executable, "-m", "swormweb.launch.prepare")


@dataclass(frozen=True)
class Part:
    """One process to start."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]


def absolute_path(search: str, cwd: Path) -> str:
    """A PYTHONPATH whose entries hold from any folder, with the checkout in it."""
    entries = [str(cwd / entry) for entry in search.split(os.pathsep) if entry]
    if str(ROOT) not in entries:
        entries.append(str(ROOT))
    return os.pathsep.join(entries)


def caller_environment(environ: Mapping[str, str], cwd: Path) -> dict[str, str]:
    """The caller's environment as every part gets it: not bound to a folder, and writing its log at once."""
    search = absolute_path(environ.get("PYTHONPATH", ""), cwd)
    return {**environ, "PYTHONPATH": search, "PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "swormweb.settings"}


def for_agent(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what an agent must not hold."""
    return {name: value for name, value in environ.items() if name not in NOT_FOR_AGENTS}


def manage(*words: str) -> tuple[str, ...]:
    """The command line of a management command."""
    return (sys.executable, str(ROOT / "manage.py"), *words)


def web_command(host: str, port: int) -> tuple[str, ...]:
    """The command line of the web part."""
    return (
        *(sys.executable, "-m", "daphne", "--bind", host, "--port", str(port), "--verbosity", "0"),
        *("--application-close-timeout", _WEB_CLOSE, "--websocket-max-message-size", _WEB_MESSAGE),
        *("--no-server-name", "swormweb.asgi:application"),
    )


def web(port: int, environ: Mapping[str, str]) -> Part:
    """Pages, REST and the live stream."""
    return Part(WEB, web_command(ports.HOST, port), environ)


def observer(environ: Mapping[str, str], join: Sequence[str]) -> Part:
    """The control plane's member of the mesh."""
    return Part(OBSERVER, manage(OBSERVER), {**environ, "SWORM_JOIN": ",".join(join)})


def agent(name: str, port: int, environ: Mapping[str, str], join: Sequence[str]) -> Part:
    """One node."""
    listen = f"{ports.HOST}:{port}"
    joins = [word for url in join for word in ("--join", url)]
    return Part(name, manage("agent", "--name", name, "--listen", listen, *joins), for_agent(environ))


def nursery(environ: Mapping[str, str]) -> Part:
    """What agents are forked from."""
    room = "-" * _TITLE_ROOM
    return Part(
        "agents", (sys.executable, "-m", "swormweb.launch.nursery", room), {**for_agent(environ), "SPT_NOENV": "1"}
    )


def mesh_url(port: int) -> str:
    """Where an agent on this machine is found by its peers."""
    return f"ws://{ports.HOST}:{port}"
