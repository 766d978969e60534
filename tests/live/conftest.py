"""Fixtures that start real clusters and end them, whatever happened to them.

Law: a test that hurts a cluster has one of its own (`live_cluster`, `make_cluster`); one that only uses it may share
(`shared_cluster`) and leaves it whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from swormweb.launch import ports
from tests.live.cluster import ROOT, LiveCluster

#: What lets a cluster run the workers of `tests/live/code`, as somebody's own.
OWN_WORKERS = {
    "PYTHONPATH": str(ROOT / "tests" / "live" / "code"),
    "SWORM_ALLOWED_MODULES": "examples,live_workers",
}


@pytest.fixture(scope="session")
def make_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LiveCluster]]:
    """Make clusters that are ended with the session, whatever happened to them; not started yet."""
    made: list[LiveCluster] = []

    def make(agents: int = 3, **environ: str) -> LiveCluster:
        cluster = LiveCluster(tmp_path_factory.mktemp("live") / "data", ports.choose(set()), agents, environ)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.sworm("down", "--now", "--data", str(cluster.data), check=False)


@pytest.fixture
def live_cluster(make_cluster: Callable[..., LiveCluster]) -> Iterator[LiveCluster]:
    """A running, empty cluster of three agents for one test alone."""
    cluster = make_cluster()
    cluster.up()
    yield cluster
    cluster.down("--now")


@pytest.fixture(scope="session")
def shared_cluster(make_cluster: Callable[..., LiveCluster]) -> Iterator[LiveCluster]:
    """A running cluster of three agents, with workers of our own, for all tests that leave it whole."""
    cluster = make_cluster(**OWN_WORKERS)
    cluster.up()
    yield cluster
    cluster.down("--now")


@pytest.fixture(scope="module")
def hurt_cluster(make_cluster: Callable[..., LiveCluster]) -> Iterator[LiveCluster]:
    """The same for the tests of one module that take parts away, and bring them back."""
    cluster = make_cluster(**OWN_WORKERS)
    cluster.up()
    yield cluster
    cluster.down("--now")
