"""The collected static files: where they are, and whether they are those of this checkout.

Law: collecting is somebody else's work (`prepare`, or `manage.py collectstatic`); here it is only decided and noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from swormweb.launch import fingerprint
from swormweb.launch.parts import ROOT

#: Beside the files: of what they were collected.
_STAMP = ".fingerprint"


def folder(environ: Mapping[str, str]) -> Path:
    """Where the collected files are."""
    return Path(environ.get("SWORM_STATIC_ROOT") or ROOT / "staticfiles")


def are_stale(environ: Mapping[str, str]) -> bool:
    """Whether they must be collected anew."""
    try:
        return (folder(environ) / _STAMP).read_text() != fingerprint.static_files()
    except FileNotFoundError:
        return True


def note(environ: Mapping[str, str]) -> None:
    """They were collected just now."""
    (folder(environ) / _STAMP).write_text(fingerprint.static_files())
