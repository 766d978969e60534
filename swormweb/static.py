"""Static files: names that carry their content's hash, and the application that serves them.

Law: a file under /static/ is answered before Django is asked, so that no session, database or middleware takes part.
The answer is sent from the loop, never from a thread: what is sent through asgiref's bridge marks the connection with
the context of a thread that has ended, and the next request on it fails.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from whitenoise import WhiteNoise
from whitenoise.storage import CompressedManifestStaticFilesStorage

Message = dict[str, Any]

#: Hash in a file's name, as the storage below writes it; such a file never changes.
_HASHED = re.compile(r"\.[0-9a-f]{12}\.")


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # its package has no types
    """Static files under hashed names, compressed beforehand; the imports of JavaScript modules are rewritten too."""

    support_js_module_import_aggregation = True


def _unused(environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    return []  # WhiteNoise wants an application to wrap; it is only asked for its files


def _is_immutable(path: str, url: str) -> bool:
    return bool(_HASHED.search(url))


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """The request's headers under the names that WhiteNoise looks for."""
    return {
        f"HTTP_{name.decode('latin1').upper().replace('-', '_')}": value.decode("latin1")
        for name, value in scope["headers"]
    }


class Files:
    """An ASGI application that serves the files below `root` at the URL path `prefix`."""

    def __init__(self, root: Path, prefix: str) -> None:
        self._files = WhiteNoise(_unused, root=str(root), prefix=prefix, immutable_file_test=_is_immutable).files

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request; its body, if any, is not read."""
        status, headers, body = await asyncio.to_thread(self._answer, scope)
        encoded = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, scope: Mapping[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        found = self._files.get(scope["path"])
        if found is None:
            return HTTPStatus.NOT_FOUND, [("Content-Type", "text/plain")], b"no such file\n"
        response = found.get_response(scope["method"], _headers(scope))
        if response.file is None:
            return response.status, list(response.headers), b""
        with response.file as file:
            return response.status, list(response.headers), file.read()


def application(root: Path, prefix: str) -> Any:
    """An ASGI application for the files below `root`, at the URL path `prefix`."""
    return Files(root, prefix)
