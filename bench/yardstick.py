"""What this machine does at this moment, apart from Sworm: a loop, and a word there and back between two processes.

Law: wall-clock time, since that is what other work on the machine takes away. A figure of the table means little
without these: on a quiet machine of two cores they are about 18 million a second and 25 µs.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time

LOOKUPS = 200_000
WORDS = 1_000

_ECHO = """
import socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while word := link.recv(200):
    link.sendall(word)
"""


def lookups() -> float:
    """Million dictionary lookups a second."""
    names = {f"name-{number:06d}": number for number in range(10_000)}
    begun = time.perf_counter()
    for _ in range(LOOKUPS // len(names)):
        for name in names:
            names.get(name)
    return LOOKUPS / (time.perf_counter() - begun) / 1e6


def round_trip() -> float:
    """µs for 100 bytes to another process and back, the middle one of many."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        echo = subprocess.Popen([sys.executable, "-c", _ECHO, str(server.getsockname()[1])])
        link, _ = server.accept()
        with link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            took = sorted(_one(link) for _ in range(WORDS))
        echo.wait()
    return took[len(took) // 2] * 1e6


def _one(link: socket.socket) -> float:
    begun = time.perf_counter()
    link.sendall(b"x" * 100)
    link.recv(200)
    return time.perf_counter() - begun
