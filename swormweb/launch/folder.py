"""The cluster's data folder: which folders are taken, and the two files in it that say what runs.

Law: a folder with foreign things in it is refused and left untouched. `state.json` (the launcher's own memory: ports,
keys, process ids) and `cluster.json` (for everybody's scripts) are readable by the owner only and replaced as a
whole. Whoever starts or ends something holds the lock.

    postgres/ valkey/   the servers' data        logs/       one file for each part
    state.json          launcher's memory        cluster.json   while the cluster runs
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from swormweb.launch.errors import FolderRefused, LaunchError

#: Raised with each change that an older launcher could not read.
FORMAT = 1

#: How long one launcher waits for another on the same folder, in seconds: longer than a start may take.
LOCK_PATIENCE = 120.0

_STATE = "state.json"
_CLUSTER = "cluster.json"
_LOCK = "lock"
_NEW = ".new"
#: What an interrupted first start can leave behind; a folder with nothing else counts as empty.
_OWN = {_LOCK, _STATE + _NEW}


class Folder:
    """A data folder that was found to be ours or free. `path` is absolute."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"

    # ------------------------------------------------------------------------------------------------------- claiming

    @classmethod
    def claim(cls, path: Path) -> Folder:
        """The folder, made when missing; `FolderRefused` when it is something else's."""
        path = path.absolute()
        _refuse_foreign(path)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = cls(path)
            with folder.lock():
                _refuse_foreign(path)  # again, now that nobody else is at it
                folder.logs.mkdir(mode=0o700, exist_ok=True)
                if not folder.is_claimed:
                    folder.write_state({"format": FORMAT})
        except OSError as error:
            raise FolderRefused(f"{path} cannot be used: {error.strerror}") from None
        return folder

    @classmethod
    def existing(cls, path: Path) -> Folder:
        """The folder of a cluster that was started before; `FolderRefused` when there is none."""
        folder = cls(path.absolute())
        if not folder.is_claimed:
            raise FolderRefused(f"{folder.path} is not the folder of a cluster; `./sworm up --data` makes one")
        _refuse_foreign(folder.path)
        return folder

    @property
    def is_claimed(self) -> bool:
        """Whether a cluster was started here before."""
        return (self.path / _STATE).is_file()

    # ---------------------------------------------------------------------------------------------------------- files

    def read_state(self) -> dict[str, Any]:
        """What the launchers know of this cluster."""
        state: dict[str, Any] = json.loads((self.path / _STATE).read_text())
        return state

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace what the launchers know; only with the lock held."""
        self._write(_STATE, state)

    def state_stamp(self) -> int:
        """A number that changes with the state (0: there is none any more)."""
        try:
            return (self.path / _STATE).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def read_cluster(self) -> dict[str, Any] | None:
        """What `up` told the world, while the cluster runs."""
        try:
            cluster: dict[str, Any] = json.loads((self.path / _CLUSTER).read_text())
        except FileNotFoundError:
            return None
        return cluster

    def write_cluster(self, cluster: dict[str, Any]) -> None:
        """Tell the world that the cluster is ready."""
        self._write(_CLUSTER, cluster)

    def remove_cluster(self) -> None:
        """Tell the world that there is no cluster any more."""
        (self.path / _CLUSTER).unlink(missing_ok=True)

    def _write(self, name: str, value: dict[str, Any]) -> None:
        new = self.path / (name + _NEW)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)
            json.dump(value, file, indent=2)
            file.write("\n")
        new.replace(self.path / name)

    # ----------------------------------------------------------------------------------------------------------- lock

    @contextmanager
    def lock(self, patience: float = LOCK_PATIENCE) -> Iterator[None]:
        """Be the only launcher at work here. Blocks up to `patience` seconds, then `LaunchError`."""
        descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _wait_for_lock(descriptor, self.path, patience)
            yield
        finally:
            os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LaunchError(f"another `./sworm up` or `down` is at work in {path}; wait for it") from None
            time.sleep(0.05)
        else:
            return


def _refuse_foreign(path: Path) -> None:
    """Raise `FolderRefused` for anything but a missing folder, an empty one, or one of ours."""
    try:
        names = {entry.name for entry in path.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise FolderRefused(f"{path} is not a folder; give --data a new or empty one") from None
    except PermissionError:
        raise FolderRefused(f"{path} may not be read by this user; give --data another folder") from None
    if _STATE in names:
        _refuse_other_format(path)
    elif names - _OWN:
        shown = ", ".join(sorted(names - _OWN)[:3])
        raise FolderRefused(f"{path} holds other things ({shown}); give --data a new or empty folder")


def _refuse_other_format(path: Path) -> None:
    try:
        found = json.loads((path / _STATE).read_text()).get("format")
    except (ValueError, AttributeError, OSError):
        found = None
    if found != FORMAT:
        raise FolderRefused(f"{path}/{_STATE} was not written by this version of Sworm; give --data another folder")
