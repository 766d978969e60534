"""REST as the command line speaks it: one request, one answer, one sentence when it was refused.

Law: the standard library only, so that a verb costs no more than its request. What the server says is passed on in
its own words.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

#: A server that is there answers; only a call may take longer, and says how long, in seconds.
PATIENCE = 60.0


#: Code of a refusal -> what to do about it, where the server's own words do not say so.
HINTS = {
    "unauthorized": "; SWORM_TOKEN must be a valid token: ./sworm token create NAME --scope all",
    "forbidden": "; use a token with that scope: ./sworm token create NAME --scope S",
    "unknown_sworm": "; ./sworm ps names those with processes, POST /api/v1/sworms defines one",
    "unknown_process": "; ./sworm ps --q PART finds names",
    "unknown_node": "; ./sworm nodes names them",
    "no_node": "; ./sworm nodes tells which are alive",
    "compacted": "; leave out --since to begin with what happens now",
}


class Refused(Exception):
    """The server refused, or is not there; the message is for people."""


class Unreachable(Refused):
    """The server is not there."""


class Lost(Exception):
    """A stream ended that should not have."""


@dataclass(frozen=True)
class Rest:
    """Where the control plane is, and the token to use."""

    url: str
    token: str

    def ask(self, method: str, path: str, body: Any = None, patience: float = PATIENCE) -> Any:
        """Send one request below /api/v1; returns the answer's JSON (None: empty). Raises `Refused`."""
        with self._answer(method, path, body, patience) as answer:
            return _parsed(answer.read())

    def stream(self, path: str, patience: float) -> Iterator[bytes]:
        """The lines of an answer that does not end; each may take `patience` seconds. Raises `Refused`, or `Lost` when
        a stream that had begun ends.
        """
        with self._answer("GET", path, None, patience) as answer:
            try:
                yield from answer
            except (OSError, http.client.HTTPException) as error:
                raise Lost(str(error)) from None
        raise Lost("the server ended it")

    @contextmanager
    def _answer(self, method: str, path: str, body: Any, patience: float) -> Iterator[http.client.HTTPResponse]:
        url = urlsplit(self.url)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        link = kind(url.hostname or "", url.port, timeout=patience)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "User-Agent": "sworm-cli",  # the audit names the door
        }
        try:
            try:
                link.request(method, f"{url.path}/api/v1{path}", None if body is None else json.dumps(body), headers)
                answer = link.getresponse()
                refused = _sentence(answer.status, _parsed(answer.read())) if answer.status >= 300 else None
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"{self.url} does not answer: {error}; is the cluster up? (./sworm up)") from None
            if refused is not None:
                raise Refused(refused)
            yield answer
        finally:
            link.close()

    def items(self, path: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        given = {name: value for name, value in filters.items() if value is not None}
        cursor = None
        while True:
            page = self.ask(
                "GET", f"{path}?{urlencode({'limit': 1000, **given, **({'cursor': cursor} if cursor else {})})}"
            )
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def _sentence(status: int, told: Any) -> str:
    if not isinstance(told, dict) or "code" not in told:
        return f"the server answered {status}"
    detail = told.get("detail") or told.get("title")
    fields = "; ".join(f"{error.get('field', '')}: {error.get('detail', '')}" for error in told.get("errors") or [])
    more = f": {fields}" if fields and fields != detail else ""
    return f"{detail} ({told['code']}){more}{HINTS.get(told['code'], '')}"


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
