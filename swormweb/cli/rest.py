"""REST as the command line speaks it: one request, one answer, one sentence when it was refused.

Law: the standard library only, so that a verb costs no more than its request. What the server says is passed on in
its own words.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

#: A server that is there answers; only a call may take longer, and says how long, in seconds.
PATIENCE = 60.0


class Refused(Exception):
    """The server refused, or is not there; the message is for people."""


@dataclass(frozen=True)
class Rest:
    """Where the control plane is, and the token to use."""

    url: str
    token: str

    def ask(self, method: str, path: str, body: Any = None, patience: float = PATIENCE) -> Any:
        """Send one request below /api/v1; returns the answer's JSON (None: empty). Raises `Refused`."""
        url = urlsplit(self.url)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        link = kind(url.hostname or "", url.port, timeout=patience)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "User-Agent": "sworm-cli",  # the audit names the door
        }
        try:
            link.request(method, f"{url.path}/api/v1{path}", None if body is None else json.dumps(body), headers)
            answer = link.getresponse()
            status, told = answer.status, _parsed(answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"{self.url} does not answer: {error}") from None
        finally:
            link.close()
        if status >= 300:
            raise Refused(_sentence(status, told))
        return told

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
    fields = "; ".join(f"{error.get('field', '')}: {error.get('detail', '')}" for error in told.get("errors") or [])
    return f"{told.get('detail') or told.get('title')} ({told['code']}){f': {fields}' if fields else ''}"


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
