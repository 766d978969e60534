"""Running PostgreSQL's programs as somebody else than root, who is refused by them.

Law: nothing is added to the system. Where the kernel allows it, the programs run in a user namespace in which root
looks like user 1000, and files stay root's. Elsewhere they run as `nobody`, who then needs a data folder of its own
in a place that it can reach. `command` keeps the process id: the wrapper becomes the program.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from swormweb.launch.errors import LaunchError

#: Where `nobody` keeps a cluster's data when user namespaces are forbidden.
FALLBACK_PARENT = Path("/var/lib")

_NAMESPACE = ("unshare", "-U", "--map-user=1000", "--map-group=1000")


@dataclass(frozen=True)
class Privileges:
    """How a program is run, and by whom its data folder must be owned (None: by us)."""

    prefix: tuple[str, ...] = ()
    owner: int | None = None

    def command(self, *words: str) -> list[str]:
        """The command line that runs a program this way."""
        return [*self.prefix, *words]

    def data_folder(self, wanted: Path) -> Path:
        """The folder to keep data in: the wanted one, or another that the owner can reach."""
        if self.owner is None:
            return wanted
        digest = hashlib.blake2b(str(wanted).encode(), digest_size=6).hexdigest()
        return FALLBACK_PARENT / f"sworm-{digest}" / wanted.name

    def make_folder(self, path: Path) -> None:
        """Make a data folder, owned by whoever the programs run as."""
        if self.owner is None:
            path.mkdir(mode=0o700, exist_ok=True)
            return
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, self.owner, -1)


@cache
def _namespaces_work() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*_NAMESPACE, "true"], check=False, capture_output=True)
    return tried.returncode == 0


def as_nobody() -> Privileges:
    """Run as the account `nobody`, without any of root's rights."""
    if shutil.which("setpriv") is None:
        raise LaunchError("PostgreSQL does not run as root, and neither unshare nor setpriv works; use another user")
    account = pwd.getpwnam("nobody")
    prefix = ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    return Privileges(prefix, account.pw_uid)


def for_postgres() -> Privileges:
    """How PostgreSQL's programs are to be run by this user on this machine."""
    if os.geteuid() != 0:
        return Privileges()
    return Privileges(_NAMESPACE) if _namespaces_work() else as_nobody()
