"""Ports on the loopback address: which are free, and which one is taken by whom.

Law: a port is chosen below the kernel's range for outgoing connections, so that a part that is started again later
finds its port still free.
"""

from __future__ import annotations

import errno
import random
import socket

from swormweb.launch.errors import LaunchError

HOST = "127.0.0.1"

#: First and last port to choose from: above the well-known ones, below Linux's outgoing ones (32768 on).
FIRST, LAST = 12_000, 32_000

#: How many ports are tried before it is plain that something else is wrong.
_TRIES = 500


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def choose(taken: set[int]) -> int:
    """A free port that is not in `taken`."""
    for _ in range(_TRIES):
        port = random.randint(FIRST, LAST)
        if port not in taken and is_free(port):
            return port
    raise LaunchError(f"no free port found between {FIRST} and {LAST} on {HOST}")


def answers(port: int) -> bool:
    """Whether something accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
