"""One `up` from beginning to end, in the foreground or with a launcher that stays behind.

Law: with `--detach` the caller's process ends once everything is ready, and nothing that stays holds its input,
output or error. What stays is one small launcher: it reaps the parts that it started, says in `logs/up.log` when one
ends, and goes with the last of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swormweb.launch import interrupts
from swormweb.launch.cluster import Cluster
from swormweb.launch.down import down
from swormweb.launch.errors import Interrupted, LaunchError
from swormweb.launch.folder import Folder
from swormweb.launch.up import Start, demo
from swormweb.launch.watch import Tail, Watch, background, foreground

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What the caller of `up` asked for; None: as before, or the default."""

    data: Path
    agents: int | None = None
    port: int | None = None
    empty: bool = False


def say(text: str) -> None:
    """Tell the person at the terminal how it goes."""
    print(f"sworm: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _welcome(description: dict[str, Any]) -> str:
    return f"Sworm runs at {description['url']}\nSign in once with {description['sign_in_url']}"


def _show(text: str) -> None:
    print(text, flush=True)  # noqa: T201


# ----------------------------------------------------------------------------------------------------------- foreground


def run_foreground(wish: Wish) -> None:
    """Start, show the logs, and end everything on Ctrl-C."""
    folder = Folder.claim(wish.data)
    tail = Tail(folder.logs, _show)
    start = Start(Cluster(folder), say)
    interrupts.catch()
    description = start.run(wish.agents, wish.port)
    try:
        _start_demo(start, wish, description, say)
        _show(_welcome(description))
        foreground(Watch(folder, start.begun, say), tail)
    except Interrupted:
        down(folder, now=False, say=say)
        tail.follow()


def _start_demo(start: Start, wish: Wish, description: dict[str, Any], tell: Say) -> None:
    if not wish.empty:
        demo(start.cluster, description, tell)


# ------------------------------------------------------------------------------------------------------------- detached


def run_detached(wish: Wish) -> None:
    """Start with a launcher that stays behind; returns once everything is ready, raises when it is not."""
    folder = Folder.claim(wish.data)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _stay_behind(folder, wish, writer)
    os.close(writer)
    interrupts.catch()
    try:
        _relay(reader)
    except Interrupted:
        os.kill(child, signal.SIGTERM)
        _relay(reader)
        raise


def _relay(reader: int) -> None:
    """Pass on what the launcher says until it says how it ended."""
    with os.fdopen(reader, closefd=False) as lines:
        for line in lines:
            told = json.loads(line)
            if "error" in told:
                raise LaunchError(told["error"])
            if "done" in told:
                _show(told["done"])
                return
            say(told["say"])
    raise LaunchError("the launcher ended without a word; see logs/up.log in the data folder")


def _stay_behind(folder: Folder, wish: Wish, writer: int) -> None:
    """The launcher's own life, in the forked process; never returns."""
    status = 1
    try:
        _let_go_of_caller(folder)
        interrupts.catch()
        status = _start_and_watch(folder, wish, writer)
    finally:
        os._exit(status)


def _let_go_of_caller(folder: Folder) -> None:
    os.setsid()
    for number in [int(file.name) for file in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # the one with which the folder was read
            if number > 2 and os.get_inheritable(number):  # the caller's: a lock of its script, say
                os.close(number)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(folder.logs / "up.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)


def _start_and_watch(folder: Folder, wish: Wish, writer: int) -> int:
    def tell(kind: str, text: str) -> None:
        os.write(writer, json.dumps({kind: text}).encode() + b"\n")

    def report(text: str) -> None:
        say(text)
        tell("say", text)

    start = Start(Cluster(folder), report)
    try:
        description = start.run(wish.agents, wish.port)
        _start_demo(start, wish, description, report)
    except LaunchError as error:
        tell("error", str(error))
        return 1
    except Exception as error:  # whatever it is, the caller must hear of it
        tell("error", f"{type(error).__name__}: {error}")
        raise
    tell("done", _welcome(description))
    os.close(writer)
    background(Watch(folder, start.begun, say))
    return 0
