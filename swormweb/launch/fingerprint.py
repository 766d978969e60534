"""Whether something slow has to be done again: a hash of all that its outcome depends on.

Law: a fingerprint may change without need (then the work is done once more), never stay when the outcome would differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from swormweb.launch.parts import ROOT

_PINNED = ROOT / "requirements.txt"


def _of(files: Iterable[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(ROOT)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def migrations() -> str:
    """Changes when the database's tables would."""
    ours = [file for app in ("registry", "supervisor") for file in (ROOT / app / "migrations").glob("*.py")]
    return _of([_PINNED, *ours])


def static_files() -> str:
    """Changes when the collected static files would."""
    ours = [file for file in (ROOT / "static").rglob("*") if file.is_file()]
    return _of([_PINNED, ROOT / "swormweb" / "static.py", *ours])
