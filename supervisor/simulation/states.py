"""A simulated worker's state, as bytes: the increments that a counter has accepted.

Law: encoding loses nothing.
"""

from __future__ import annotations


def encode(state: set[str]) -> bytes:
    """A counter's state as bytes."""
    return ",".join(sorted(state)).encode()


def decode(state: bytes) -> set[str]:
    """A counter's state from bytes."""
    return set(state.decode().split(",")) - {""}
