"""Values of MessagePack as values of JSON, and only that.

Law: total and lossless enough to be read by people: whatever a worker may be given can be stored in a JSON column and
shown. What JSON (or PostgreSQL's jsonb) cannot hold stands as an object with one key that starts with "$".
"""

from __future__ import annotations

import base64
import math
from typing import Any


def jsonable(value: Any) -> Any:
    """The same value: bytes as {"$bytes": base64}, odd floats as {"$float": text}, keys as text, no NUL characters."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, dict):
        return {_text(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return _text(str(value))


def has_bytes(value: Any) -> bool:
    """Whether a reply holds bytes anywhere, which plain JSON cannot carry."""
    if isinstance(value, bytes | bytearray | memoryview):
        return True
    if isinstance(value, dict):
        return any(has_bytes(key) or has_bytes(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(has_bytes(item) for item in value)


def _text(value: str) -> str:
    return value.replace("\x00", "\ufffd") if "\x00" in value else value
