"""Watching over a running cluster: what its parts write, and which of them end.

Law: a watcher changes nothing. It never starts a part again; it says that one has ended. A part that several launchers
see is spoken of by the one that started it. It goes on until everything that it watches has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from swormweb.launch.cluster import Cluster
from swormweb.launch.folder import Folder
from swormweb.launch.process import Child, Running

#: Pause between two looks, in seconds: short enough for a log to seem immediate, long enough to cost nothing.
_FOREGROUND = 0.1
_BACKGROUND = 0.5

#: Most that is read of one file at a look, in bytes.
_PIECE = 64 * 1024

Say = Callable[[str], None]


class Tail:
    """The lines that are added to the logs of a folder, each with the name of its part before it."""

    def __init__(self, logs: Path, show: Say) -> None:
        self._logs = logs
        self._show = show
        self._read: dict[Path, int] = {path: path.stat().st_size for path in logs.glob("*.log")}
        self._rest: dict[Path, bytes] = {}

    def follow(self) -> None:
        """Show what was added since the last time."""
        for path in sorted(self._logs.glob("*.log")):
            self._follow_one(path)

    def _follow_one(self, path: Path) -> None:
        at = self._read.get(path, 0)
        size = path.stat().st_size
        if size < at:  # set aside and begun anew
            at = 0
        while at < size:
            with path.open("rb") as file:
                file.seek(at)
                piece = file.read(min(_PIECE, size - at))
            at += len(piece)
            self._show_lines(path, piece)
        self._read[path] = at

    def _show_lines(self, path: Path, piece: bytes) -> None:
        *lines, rest = (self._rest.get(path, b"") + piece).split(b"\n")
        self._rest[path] = rest
        for line in lines:
            self._show(f"{path.stem:<9}| {line.decode(errors='replace')}")


class Watch:
    """Which parts of a cluster live, as one launcher sees them. `children` are those it has to reap."""

    def __init__(self, folder: Folder, children: Mapping[str, Child], say: Say) -> None:
        self._folder = folder
        self._children = dict(children)
        self._own = {child.pid: child for child in children.values()}
        self._say = say
        self._stamp = 0
        self._living: dict[str, Running] = {}
        self._stopping = False

    def look(self) -> None:
        """Notice what has started and what has ended."""
        self._reap()
        self._read()
        for name, process in list(self._living.items()):
            if not process.alive:
                del self._living[name]
                self._read()
                if process.pid in self._own:
                    self._say(self._ended(name, self._own[process.pid]))

    def _ended(self, name: str, child: Child) -> str:
        if self._stopping:
            return f"{name} was stopped"
        if child.poll() == 0:  # as a node that was drained
            return f"{name} has ended as it was told to"
        return f"{name} has ended; `./sworm up --data {self._folder.path}` starts it again"

    def _read(self) -> None:
        stamp = self._folder.state_stamp()
        if not stamp or stamp == self._stamp:
            return
        self._stamp = stamp
        cluster = Cluster(self._folder)
        self._stopping = bool(cluster.state.get("stopping"))
        self._living |= {name: process for name, process in cluster.recorded().items() if process.alive}

    def _reap(self) -> None:
        for name, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[name]

    @property
    def has_children(self) -> bool:
        """Whether a process that this launcher started still runs."""
        return bool(self._children)

    @property
    def has_parts(self) -> bool:
        """Whether any part of the cluster still runs."""
        return bool(self._living)


def foreground(watch: Watch, tail: Tail) -> None:
    """Show the logs until no part runs any more."""
    watch.look()
    while watch.has_parts:
        tail.follow()
        time.sleep(_FOREGROUND)
        watch.look()
    tail.follow()


def background(watch: Watch) -> None:
    """Say which parts end, until those that were started here have."""
    while watch.has_children:
        watch.look()
        time.sleep(_BACKGROUND)
