"""A cluster whose nodes can be cut off: each agent in a network namespace of its own.

Law: as `bench.cluster`, and nothing is left behind. The broker is reached over a Unix socket, so that the drivers hear
and answer whatever cable is pulled.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.cables import Cable, NoNamespaces, cables
from bench.cluster import PATIENCE, Cluster, Trouble
from swormweb.launch.valkey import binary


class ApartCluster(Cluster):
    """Agents behind cables, n1 … in their order."""

    def __init__(self, folder: Path, redis_url: str, made: Sequence[Cable]) -> None:
        super().__init__(folder, redis_url)
        self._cables = {f"n{number}": cable for number, cable in enumerate(made, 1)}

    def _host(self, name: str) -> str:
        return self._cables[name].address

    def _drivers_sworm(self, node: str) -> str:
        return f"drivers-{node}"  # hosted there alone: nobody else takes its driver over

    def _within(self, name: str, command: Sequence[str]) -> Sequence[str]:
        return self._cables[name].within(*command)

    def pull(self, node: str) -> None:
        """Nothing reaches this node, or leaves it, but over the broker."""
        self._cables[node].pull()

    def plug(self, node: str) -> float:
        """It is reached again; returns when, in seconds since 1970."""
        at = time.time()
        self._cables[node].plug()
        return at


@contextmanager
def apart(folder: Path, nodes: int, sworm: str) -> Iterator[ApartCluster]:
    """A running cluster of n1, n2 …, each behind its cable, all hosting this sworm. Raises `Trouble`."""
    folder.mkdir()
    try:
        with _broker(folder / "broker.sock") as redis_url, cables(nodes) as made:
            cluster = ApartCluster(folder, redis_url, made)
            try:
                cluster.start({f"n{number}": f"{sworm},drivers-n{number}" for number in range(1, nodes + 1)})
                yield cluster
            finally:
                cluster.stop()
    except NoNamespaces as error:
        raise Trouble(str(error)) from None


@contextmanager
def _broker(socket: Path) -> Iterator[str]:
    words = [str(binary()), "--port", "0", "--unixsocket", str(socket), "--save", ""]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while not socket.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"the broker does not listen at {socket}")
            time.sleep(0.01)
        yield f"unix://{socket}"
    finally:
        server.kill()
        server.wait()
