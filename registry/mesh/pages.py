"""HTTP on the mesh port: one GET, one answer, and the connection ends.

Law: read-only and without credentials, so nothing may be shown here that a stranger must not see. What a page says is
the owner's (`Options.http`); this only makes an answer of it.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Callable

from websockets.datastructures import Headers
from websockets.http11 import Response

from registry.mesh.protocol import Answer

log = logging.getLogger("registry.mesh")

_TEXT = "text/plain; charset=utf-8"


def answer(pages: Callable[[str], Answer | None], method: str, path: str) -> Response:
    """The whole answer to a request for a page."""
    if method != "GET":
        return _response(Answer(405, _TEXT, b"Only GET is answered here.\n"), allow="GET")
    try:
        page = pages(path)
    except Exception:
        log.exception("the page %s failed", path)
        page = Answer(500, _TEXT, b"This page failed; the node's log says how.\n")
    return _response(page or Answer(404, _TEXT, b"There is no such page on a node.\n"))


def _response(page: Answer, allow: str = "") -> Response:
    headers = Headers()
    headers["Content-Type"] = page.content_type
    headers["Content-Length"] = str(len(page.body))
    headers["Cache-Control"] = "no-store"
    headers["Connection"] = "close"
    if allow:
        headers["Allow"] = allow
    return Response(page.status, http.HTTPStatus(page.status).phrase, headers, page.body)
