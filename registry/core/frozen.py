"""Plain values that nobody can change: how nested settings stand in maps, where equal values need equal texts.

Law: a list becomes a tuple, an object a tuple of (key, value) pairs in order of the keys; scalars stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def frozen(value: Any) -> Any:
    """The value as tuples and scalars, all the way down; what is frozen already stays as it is."""
    if isinstance(value, Mapping):
        return tuple((key, frozen(value[key])) for key in sorted(value, key=str))
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    return value
