"""Network namespaces on one bridge, each with a cable that can be pulled, and nothing else notices.

Law: whatever is made here is named by this process's id and taken away again. A pulled cable is silent: no link is
closed, no address vanishes. Namespaces need root and `ip` (the package iproute2).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

#: An Ethernet address that nobody has.
NOWHERE = "02:00:00:00:de:ad"

_numbers = count()  #: of the bridges of this process


class NoNamespaces(Exception):
    """A namespace cannot be had; the message says why."""


def ip(*words: str) -> None:
    """Run `ip`. Raises `NoNamespaces` with what it said."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoNamespaces(f"ip: {error} (network namespaces need root and iproute2)") from None
    if done.returncode != 0:
        raise NoNamespaces(f"ip {' '.join(words)}: {done.stderr}(network namespaces need root and iproute2)")


class Cable:
    """A namespace, and its one way to the others."""

    def __init__(self, number: int, bridge: str, net: str) -> None:
        self.bridge = bridge
        self.space, self.address = f"{bridge}-{number}", f"{net}.{number}"
        self.port = f"{bridge}p{number}"  # of the bridge

    def build(self) -> None:
        """Make the namespace and its cable."""
        ip("netns", "add", self.space)
        ip("link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        ip("-n", self.space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            ip("-n", self.space, "link", "set", link, "up")
        ip("link", "set", self.port, "master", self.bridge, "up")

    def within(self, *command: str) -> list[str]:
        """A command line that runs this one in the namespace, in the same process."""
        return ["ip", "netns", "exec", self.space, *command]

    def pull(self) -> None:
        """Nothing gets through any more."""
        ip("link", "set", self.port, "nomaster")

    def plug(self) -> None:
        """It does again."""
        ip("link", "set", self.port, "master", self.bridge)

    def lose(self, other: Cable) -> None:
        """What is sent to this other one arrives nowhere, without a word; anybody else is reached."""
        ip("-n", self.space, "neigh", "replace", other.address, "lladdr", NOWHERE, "nud", "permanent", "dev", "eth0")

    def find(self, other: Cable) -> None:
        """It arrives again."""
        ip("-n", self.space, "neigh", "del", other.address, "dev", "eth0")

    def demolish(self) -> None:
        """Take the namespace away; what runs in it must have ended."""
        for words in (("link", "del", self.port), ("netns", "del", self.space)):
            with suppress(NoNamespaces):
                ip(*words)


@contextmanager
def cables(size: int) -> Iterator[list[Cable]]:
    """So many namespaces that reach each other, and are reached from here. Raises `NoNamespaces`."""
    bridge, net = f"sw{os.getpid() % 100_000}{chr(97 + next(_numbers) % 26)}", f"10.213.{os.getpid() % 250}"
    made = [Cable(number, bridge, net) for number in range(1, size + 1)]
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{net}.254/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for cable in made:
            cable.build()
        yield made
    finally:
        for cable in made:
            cable.demolish()
        with suppress(NoNamespaces):
            ip("link", "del", bridge)
