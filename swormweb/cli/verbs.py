"""The operator's verbs over REST: `ps`, `nodes`, `whereis`, `register`, `call`, `events` and their like.

Law: each verb is one request (long work, in `swormweb.cli.moving`: and looks at its operation until that ends);
`--json` prints what the server said, otherwise a table or a sentence. What a person needs to know beside the answer
goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from registry.kinds import KINDS
from swormweb.cli import moving
from swormweb.cli.common import (
    Options,
    Verbs,
    WrongUsage,
    argument,
    one_of,
    out,
    process_path,
    show,
    show_list,
    terminal_width,
    whole,
)
from swormweb.cli.following import follow
from swormweb.cli.rest import Refused, Rest, segment
from swormweb.cli.tables import CUT, harmless, short_time
from swormweb.launch.errors import FolderRefused
from swormweb.launch.folder import Folder

PROCESS = ("sworm", "name", "state", "node", "pid", "epoch", "restarts", "target")
STATES = ("starting", "running", "handing_off", "restarting", "failed")
SORTS = ("sworm", "name", "node", "state", "restarts", "epoch", "started_at")
NODE = ("name", "status", "cordoned", "processes", "capacity", "sworms", "labels", "url", "last_seen")
#: Column -> its least width: events are printed as they come, so no later one can widen it.
EVENT = {"revision": 8, "at": 27, "kind": 20, "sworm": 10, "name": 16, "node": 8, "detail": 0}
REPLICA = ("node", "sworm", "size", "behind", "digest", "observed_at")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON; a text needs its quotes: '\"text\"'") from None


# -------------------------------------------------------------------------------------------------------------- looking


def ps(rest: Rest, options: Options) -> None:
    """Processes of one sworm, or of all."""
    wanted = {name: getattr(options, name) for name in ("node", "state", "q", "group", "sort", "order")}
    found = list(rest.items("/processes", sworm=options.sworm, **wanted))
    if options.sworm and not found:
        rest.ask("GET", f"/sworms/{segment(options.sworm)}")  # one that is not defined is refused, not shown as empty
    show_list(options, PROCESS, found)


def nodes(rest: Rest, options: Options) -> None:
    """Nodes."""
    show_list(options, NODE, rest.items("/nodes"))


def replicas(rest: Rest, options: Options) -> None:
    """The replicas, as last observed."""
    show_list(options, REPLICA, rest.items("/replicas"))


def whereis(rest: Rest, options: Options) -> None:
    """Where a name runs."""
    found = rest.ask("GET", process_path(options))
    show(options, found, f"{found['pid']} on {found['node']}, {found['state']}")


def events(rest: Rest, options: Options) -> None:
    """The history, and with `--follow` what is added to it."""
    filters = {name: getattr(options, name) for name in ("sworm", "name", "node", "kind")}
    since = options.since
    page = _EventPage(options)
    if not options.follow or since is not None:
        for event in rest.items("/events", since=since, **filters):
            since = max(since or 0, event["revision"])
            page.tell(event)
        page.begin()
    if options.follow:
        follow(rest, since, filters, page.tell)


class _EventPage:
    """Events below a head, as they come; the head waits for the first, so that a refusal stands alone."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._begun = bool(options.json)
        self._width = terminal_width()
        self._widths = EVENT if self._width is None else {**EVENT, "at": len("00:00:00")}

    def begin(self) -> None:
        """The head, unless it is there."""
        if not self._begun:
            self._begun = True
            out(self._line([column.upper() for column in EVENT]))

    def tell(self, event: dict[str, Any]) -> None:
        """One event."""
        self.begin()
        told = dict(event)
        if self._width is not None:
            told["at"] = short_time(told["at"], datetime.now().astimezone())
        cells = ["-" if told[column] in ("", None) else str(told[column]) for column in EVENT]
        show(self._options, event, self._line(cells))

    def _line(self, cells: list[str]) -> str:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, self._widths.values(), strict=True)).rstrip()
        if self._width is None or "\n" in line or len(line) <= self._width:
            return line
        return line[: self._width - 1] + CUT


# ---------------------------------------------------------------------------------------------------------------- doing


def register(rest: Rest, options: Options) -> None:
    """Start a process under a name."""
    body = {
        "name": options.name,
        "target": options.target,
        "args": options.args,
        "kwargs": options.kwargs,
        "meta": options.meta,
        **({"isolation": options.isolation} if options.isolation else {}),
    }
    found = rest.ask("POST", f"/sworms/{segment(options.sworm)}/processes", body)
    show(options, found, f"{found['pid']} on {found['node']}, {found['state']}")


def unregister(rest: Rest, options: Options) -> None:
    """Stop a process and free its name."""
    rest.ask("DELETE", process_path(options))
    show(options, None, f"{options.sworm}/{options.name} is stopped")


def call(rest: Rest, options: Options) -> None:
    """Send a message and print the reply as JSON."""
    body = {"message": options.message, "timeout_ms": options.timeout_ms}
    told = rest.ask("POST", f"{process_path(options)}/call", body, patience=options.timeout_ms / 1000 + 30)
    show(options, told, json.dumps(told["reply"], ensure_ascii=False))


def cordon(rest: Rest, options: Options) -> None:
    """Let a node take no new processes."""
    found = rest.ask("POST", f"/nodes/{segment(options.node)}/cordon", {})
    show(options, found, f"{options.node} takes no new processes")


def uncordon(rest: Rest, options: Options) -> None:
    """Let a node take new processes again."""
    found = rest.ask("POST", f"/nodes/{segment(options.node)}/uncordon", {})
    show(options, found, f"{options.node} takes new processes again")


# -------------------------------------------------------------------------------------------------------------- parsing


_NAMED = (argument("sworm", help="the pool of processes"), argument("name", help="of the process, once in its sworm"))

VERBS: Verbs = {
    "ps": (
        ps,
        (
            argument("sworm", nargs="?"),
            argument("--node"),
            one_of("--state", STATES),
            argument("--q", help="part of a name, target or pid"),
            argument("--group", help="only its members"),
            argument("--sort", choices=SORTS, help="field to sort by (default: sworm)"),
            argument("--order", choices=("asc", "desc")),
        ),
    ),
    "nodes": (nodes, ()),
    "whereis": (whereis, _NAMED),
    "register": (
        register,
        (
            *_NAMED,
            argument("target", help="module:identifier"),
            argument("--args", type=_json, default=[], help="JSON list"),
            argument("--kwargs", type=_json, default={}, help="JSON object"),
            argument("--meta", type=_json, default={}, help="JSON object"),
            argument("--isolation", choices=("task", "process"), help="default: as the sworm's definition says"),
        ),
    ),
    "unregister": (unregister, _NAMED),
    "call": (
        call,
        (
            *_NAMED,
            argument("message", type=_json, help="JSON"),
            argument("--timeout-ms", type=whole, default=5000, help="longest wait for the reply"),
        ),
    ),
    "cordon": (cordon, (argument("node"),)),
    "uncordon": (uncordon, (argument("node"),)),
    "events": (
        events,
        (
            argument("--follow", action="store_true"),
            argument("--since", type=whole, help="revision"),
            *(argument(f"--{name}") for name in ("sworm", "name", "node")),
            one_of("--kind", KINDS),
        ),
    ),
    "replicas": (replicas, ()),
    **moving.VERBS,
}


def _parser(verb: str) -> argparse.ArgumentParser:
    run, arguments = VERBS[verb]
    parser = argparse.ArgumentParser(prog=f"sworm {verb}", description=run.__doc__)
    for one in arguments:
        parser.add_argument(one.name, **one.more)
    parser.add_argument("--json", action="store_true", help="print what the server said")
    parser.add_argument("--data", type=Path, default=Path(".sworm"), help="the cluster's folder (default: .sworm)")
    return parser


def _rest(options: Options) -> Rest:
    """The control plane that the environment names, else the cluster in the data folder."""
    url, token = os.environ.get("SWORM_URL"), os.environ.get("SWORM_TOKEN")
    if url:
        _check_url(url)
    if url and token:
        return Rest(url.rstrip("/"), token)
    try:
        cluster = Folder.existing(options.data).read_cluster()
    except FolderRefused:
        cluster = None
    if cluster is None:
        raise Refused(f"no cluster runs in {options.data}; start one (./sworm up), or set SWORM_URL and SWORM_TOKEN")
    if url and url.rstrip("/") != cluster["url"]:  # a token is shown to nobody but the cluster that it is for
        raise Refused(f"SWORM_URL is {url}, which is not the cluster in {options.data}; set SWORM_TOKEN too")
    return Rest(cluster["url"], token or cluster["token"])


def _check_url(url: str) -> None:
    """Refuse a SWORM_URL to which no request can be sent."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise Refused(f"SWORM_URL is {url!r}; it must be like http://127.0.0.1:8000")


def run(verb: str, arguments: list[str]) -> int:
    """Run a verb; returns the exit status. Wrong usage ends the program with 2, as argparse does."""
    parser = _parser(verb)
    options = parser.parse_args(arguments)
    try:
        VERBS[verb][0](_rest(options), options)
    except WrongUsage as error:
        parser.error(str(error))
    except Refused as error:
        sys.stderr.write(harmless(f"sworm: {error}\n"))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
