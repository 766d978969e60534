"""Static files: names that carry their content's hash, and the application that serves them.

Law: a file under /static/ is answered before Django is asked, so that no session, database or middleware takes part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from asgiref.wsgi import WsgiToAsgi
from whitenoise import WhiteNoise
from whitenoise.storage import CompressedManifestStaticFilesStorage

#: Hash in a file's name, as the storage below writes it; such a file never changes.
_HASHED = re.compile(r"\.[0-9a-f]{12}\.")


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # its package has no types
    """Static files under hashed names, compressed beforehand; the imports of JavaScript modules are rewritten too."""

    support_js_module_import_aggregation = True


def _not_found(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    start("404 Not Found", [("Content-Type", "text/plain")])
    return [b"no such file\n"]


def _is_immutable(path: str, url: str) -> bool:
    return bool(_HASHED.search(url))


def application(root: Path, prefix: str) -> Any:
    """An ASGI application that serves the files below `root` at the URL path `prefix`."""
    files = WhiteNoise(_not_found, root=str(root), prefix=prefix, immutable_file_test=_is_immutable)
    return WsgiToAsgi(files)  # type: ignore[no-untyped-call]
