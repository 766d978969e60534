"""What the tests of the registry's API stand on."""

from __future__ import annotations

import django
import pytest

django.setup()  # when pytest is given this folder, this file is read before pytest-django has done so

from registry import observed  # noqa: E402
from tests.asking import Asking, asking  # noqa: E402


@pytest.fixture(autouse=True)
def _fresh_term() -> None:
    observed._Term.looked_at = 0.0


@pytest.fixture
def ask(db: None) -> Asking:
    """Somebody who may do everything."""
    return asking()
