"""Clusters for these tests: one that nobody hurts, shared by all, and others for a test of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.parity.cluster import Cluster
from tests.supervisor.conftest import Valkey

Start = Callable[[int], Cluster]


@contextmanager
def cluster_of(folder: Path, nodes: int) -> Iterator[Cluster]:
    """Some nodes on a broker of their own, since their queues are named after them."""
    broker = Valkey(folder)
    broker.start()
    try:
        cluster = Cluster(broker.url, folder, nodes)
        try:
            cluster.together()
            yield cluster
        finally:
            cluster.close()
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that no test hurts."""
    with cluster_of(tmp_path_factory.mktemp("three"), 3) as cluster:
        yield cluster


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts clusters of a test's own."""
    with ExitStack() as stack:
        yield lambda nodes: stack.enter_context(cluster_of(tmp_path_factory.mktemp("own"), nodes))
