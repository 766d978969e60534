"""Following the history: the server's event stream, taken up again where it broke off.

Law: an event is told once; after a break the stream is asked for what came after the last event's revision, so nothing
is left out while the server keeps it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

from swormweb.cli.rest import Lost, Refused, Rest, Unreachable

#: Longest silence of a stream that lives, in seconds: it tells a heartbeat each 10 s.
SILENCE = 30.0

#: Pause before a stream that broke off is asked for again, in seconds.
AGAIN = 1.0


def events_of(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """(kind, data) of each server-sent event, after the HTML standard."""
    kind, data = "message", list[str]()
    for raw in lines:
        line = raw.decode(errors="replace").rstrip("\r\n")
        name, _, value = line.partition(":")
        if not line:
            if data:
                yield kind, "\n".join(data)
            kind, data = "message", list[str]()
        elif name == "event":
            kind = value.strip()
        elif name == "data":
            data.append(value.removeprefix(" "))


def follow(rest: Rest, since: int | None, filters: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    """Tell each event from now on (or after the revision `since`), until interrupted. Raises `Refused`."""
    begun = False
    while True:
        given = {name: value for name, value in {**filters, "since": since}.items() if value is not None}
        try:
            for kind, data in events_of(rest.stream(f"/events/stream?{urlencode(given)}", SILENCE)):
                begun = True
                told = json.loads(data)
                if kind == "problem":
                    raise Refused(f"{told.get('detail') or told.get('title')} ({told.get('code')})")
                since = told["revision"]
                if kind == "message":
                    tell(told)
        except (Lost, Unreachable) as problem:
            if isinstance(problem, Unreachable) and not begun:
                raise
            sys.stderr.write(f"sworm: the stream broke off ({problem}); trying again\n")
            time.sleep(AGAIN)
