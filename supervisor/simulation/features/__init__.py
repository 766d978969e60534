"""One module for each feature that takes part in simulated lives; see `supervisor.simulation.feature`."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from supervisor.simulation.feature import Feature


def all_features() -> list[type[Feature]]:
    """Every feature, by name."""
    found = [import_module(f"{__name__}.{module.name}").FEATURE for module in pkgutil.iter_modules(__path__)]
    return sorted(found, key=lambda feature: feature.name)
