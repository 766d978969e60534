"""What several tests of the core begin with."""

from __future__ import annotations

import pytest

from tests.registry.core.soup import Soup


@pytest.fixture
def soup() -> Soup:
    """Three members that have come together."""
    soup = Soup()
    soup.start("n1.1", "n2.1", "n3.1")
    soup.pass_time(1)
    return soup
