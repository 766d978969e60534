"""A worker's module whose import blocks until the test lets it go."""

from supervisor import Worker
from tests.supervisor.workers.release import release

release.wait(20)


class Echo(Worker):
    """Nothing but the defaults."""
