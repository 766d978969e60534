"""Fixtures that start real clusters and end them, whatever happened to them.

Law: a test that hurts a cluster has one of its own (`live_cluster`, `make_cluster`); one that only uses it may share
(`shared_cluster`) and leaves it whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from swormweb.launch import ports
from tests.live.cluster import OWN_WORKERS, LiveCluster

#: Network namespaces are root's to make: elsewhere these tests do not exist; in CI they fail if that is so.
collect_ignore = [] if os.geteuid() == 0 or os.environ.get("CI") == "true" else ["test_partitions.py"]

#: What was measured: {what: seconds, each time}. Told after the tests, never judged: the machine has other work.
MEASURED = pytest.StashKey[dict[str, list[float]]]()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Tell how long something took, in seconds."""
    figures = request.config.stash.setdefault(MEASURED, {})
    return lambda what, seconds: figures.setdefault(what, []).append(seconds)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what was measured."""
    for what, figures in config.stash.get(MEASURED, {}).items():
        told = ", ".join(f"{seconds:.2f}" for seconds in sorted(figures))
        terminalreporter.write_line(f"seconds until {what}: {told}")


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
    assert not cluster.defects()


@pytest.fixture(scope="session")
def one_to_hurt(make_cluster: Callable[..., LiveCluster]) -> Iterator[LiveCluster]:
    """What `hurt_cluster` hands out."""
    cluster = make_cluster(**OWN_WORKERS)
    cluster.up()
    yield cluster
    cluster.down("--now")
    assert not cluster.defects()


@pytest.fixture
def hurt_cluster(one_to_hurt: LiveCluster) -> LiveCluster:
    """The same cluster for all tests that take parts away: each finds it whole and empty, whatever the last one did."""
    one_to_hurt.make_whole()
    return one_to_hurt
