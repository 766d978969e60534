"""The operator's verbs over REST: `ps`, `nodes`, `whereis`, `register`, `call`, `drain`, `events` and their like.

Law: each verb is one request (long work: and looks at its operation until that ends); `--json` prints what the server
said, otherwise a table or a sentence. What a person needs to know beside the answer goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swormweb.cli.rest import Refused, Rest, segment
from swormweb.cli.tables import table
from swormweb.launch.errors import FolderRefused
from swormweb.launch.folder import Folder

Options = argparse.Namespace
Run = Callable[[Rest, Options], None]

#: Pause between two looks at an operation or at the history, in seconds.
EVERY = 0.5

PROCESS = ("sworm", "name", "state", "node", "pid", "epoch", "restarts", "target")
NODE = ("name", "status", "cordoned", "processes", "capacity", "sworms", "labels", "url", "last_seen")
OPERATION = ("id", "kind", "target", "state", "progress", "requested_by", "created_at", "problem")
EVENT = ("revision", "at", "kind", "sworm", "name", "node", "detail")
REPLICA = ("node", "sworm", "size", "behind", "digest", "observed_at")


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _show(options: Options, value: Any, text: str) -> None:
    _out(json.dumps(value, ensure_ascii=False) if options.json else text)


def _show_list(options: Options, columns: Iterable[str], items: Iterable[dict[str, Any]]) -> None:
    found = list(items)
    _show(options, found, table(list(columns), found))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON; a text needs its quotes: '\"text\"'") from None


def _one(options: Options) -> str:
    return f"/sworms/{segment(options.sworm)}/processes/{segment(options.name)}"


# -------------------------------------------------------------------------------------------------------------- looking


def ps(rest: Rest, options: Options) -> None:
    """Processes of one sworm, or of all."""
    sworms = [options.sworm] if options.sworm else [item["name"] for item in rest.items("/sworms")]
    filters = {"node": options.node, "state": options.state, "q": options.q}
    found = [item for sworm in sworms for item in rest.items(f"/sworms/{segment(sworm)}/processes", **filters)]
    _show_list(options, PROCESS, found)


def nodes(rest: Rest, options: Options) -> None:
    """Nodes."""
    _show_list(options, NODE, rest.items("/nodes"))


def operations(rest: Rest, options: Options) -> None:
    """Operations, the newest first, or one of them."""
    if options.id:
        found = rest.ask("GET", f"/operations/{segment(options.id)}")
        _show(options, found, table(OPERATION, [_flat(found)]))
        return
    found = list(rest.items("/operations"))
    _show(options, found, table(OPERATION, map(_flat, found)))


def _flat(operation: dict[str, Any]) -> dict[str, Any]:
    progress = operation["progress"]
    return {**operation, "progress": f"{progress['done']}/{progress['total']}"}


def replicas(rest: Rest, options: Options) -> None:
    """The replicas, as last observed."""
    _show_list(options, REPLICA, rest.items("/replicas"))


def whereis(rest: Rest, options: Options) -> None:
    """Where a name runs."""
    found = rest.ask("GET", _one(options))
    _show(options, found, f"{found['pid']} on {found['node']}, {found['state']}")


def events(rest: Rest, options: Options) -> None:
    """The history, and with `--follow` what is added to it."""
    filters = {name: getattr(options, name) for name in ("sworm", "name", "node", "kind")}
    since = options.since
    while True:
        for event in rest.items("/events", since=since, **filters):
            since = max(since or 0, event["revision"])
            _show(options, event, "  ".join(str(event[column]) for column in EVENT if event[column] not in ("", None)))
        if not options.follow:
            return
        since = since or 0
        time.sleep(EVERY)


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
    _show(options, found, f"{found['pid']} on {found['node']}, {found['state']}")


def unregister(rest: Rest, options: Options) -> None:
    """Stop a process and free its name."""
    rest.ask("DELETE", _one(options))
    _show(options, None, f"{options.sworm}/{options.name} is stopped")


def call(rest: Rest, options: Options) -> None:
    """Send a message and print the reply as JSON."""
    body = {"message": options.message, "timeout_ms": options.timeout_ms}
    told = rest.ask("POST", f"{_one(options)}/call", body, patience=options.timeout_ms / 1000 + 30)
    _show(options, told, json.dumps(told["reply"], ensure_ascii=False))


def handoff(rest: Rest, options: Options) -> None:
    """Move a process with its state."""
    body = {"to": options.to, "dry_run": options.dry_run}
    _follow(rest, options, rest.ask("POST", f"{_one(options)}/handoff", body))


def drain(rest: Rest, options: Options) -> None:
    """Move everything away from a node, which then ends."""
    body = {"deadline_s": options.deadline_s, "dry_run": options.dry_run}
    _follow(rest, options, rest.ask("POST", f"/nodes/{segment(options.node)}/drain", body))


def cordon(rest: Rest, options: Options) -> None:
    """Let a node take no new processes."""
    found = rest.ask("POST", f"/nodes/{segment(options.node)}/cordon", {})
    _show(options, found, f"{options.node} takes no new processes")


def uncordon(rest: Rest, options: Options) -> None:
    """Let a node take new processes again."""
    found = rest.ask("POST", f"/nodes/{segment(options.node)}/uncordon", {})
    _show(options, found, f"{options.node} takes new processes again")


def _follow(rest: Rest, options: Options, told: dict[str, Any]) -> None:
    """Show an operation's progress until it ends; a dry run shows its moves."""
    if "moves" in told:
        _show(options, told, table(("sworm", "name", "from", "to", "problem"), told["moves"]))
        return
    shown = ""
    while told["state"] in ("pending", "running"):
        progress = f"{told['kind']} {told['target']}: {told['progress']['done']} of {told['progress']['total']}"
        if progress != shown:
            sys.stderr.write(f"sworm: {progress}\n")
            shown = progress
        time.sleep(EVERY)
        told = rest.ask("GET", f"/operations/{segment(told['id'])}")
    _show(options, told, f"{told['kind']} {told['target']}: {told['state']}")
    if told["state"] != "succeeded":
        raise Refused(f"{told['kind']} {told['target']} {told['state']}: {told['problem'] or 'no reason given'}")


# -------------------------------------------------------------------------------------------------------------- parsing


@dataclass(frozen=True)
class Argument:
    """One argument or option of a verb, as argparse takes it."""

    name: str
    more: dict[str, Any] = field(default_factory=dict)


def _argument(name: str, **more: Any) -> Argument:
    return Argument(name, more)


_NAMED = (_argument("sworm"), _argument("name"))
_DRY = _argument("--dry-run", action="store_true", help="show what would move, change nothing")

VERBS: dict[str, tuple[Run, tuple[Argument, ...]]] = {
    "ps": (
        ps,
        (
            _argument("sworm", nargs="?"),
            _argument("--node"),
            _argument("--state"),
            _argument("--q", help="part of a name"),
        ),
    ),
    "nodes": (nodes, ()),
    "whereis": (whereis, _NAMED),
    "register": (
        register,
        (
            *_NAMED,
            _argument("target", help="module:identifier"),
            _argument("--args", type=_json, default=[], help="JSON list"),
            _argument("--kwargs", type=_json, default={}, help="JSON object"),
            _argument("--meta", type=_json, default={}, help="JSON object"),
            _argument("--isolation", choices=("task", "process")),
        ),
    ),
    "unregister": (unregister, _NAMED),
    "call": (
        call,
        (*_NAMED, _argument("message", type=_json, help="JSON"), _argument("--timeout-ms", type=int, default=5000)),
    ),
    "handoff": (handoff, (*_NAMED, _argument("--to", help="node; the cluster chooses otherwise"), _DRY)),
    "drain": (drain, (_argument("node"), _argument("--deadline-s", type=float, default=30), _DRY)),
    "cordon": (cordon, (_argument("node"),)),
    "uncordon": (uncordon, (_argument("node"),)),
    "operations": (operations, (_argument("id", nargs="?"),)),
    "events": (
        events,
        (
            _argument("--follow", action="store_true"),
            _argument("--since", type=int, help="revision"),
            *(_argument(f"--{name}") for name in ("sworm", "name", "node", "kind")),
        ),
    ),
    "replicas": (replicas, ()),
}


def _parser(verb: str) -> argparse.ArgumentParser:
    run, arguments = VERBS[verb]
    parser = argparse.ArgumentParser(prog=f"sworm {verb}", description=run.__doc__)
    for argument in arguments:
        parser.add_argument(argument.name, **argument.more)
    parser.add_argument("--json", action="store_true", help="print what the server said")
    parser.add_argument("--data", type=Path, default=Path(".sworm"), help="the cluster's folder (default: .sworm)")
    return parser


def _rest(options: Options) -> Rest:
    """The control plane that the environment names, else the cluster in the data folder."""
    url, token = os.environ.get("SWORM_URL"), os.environ.get("SWORM_TOKEN")
    if url and token:
        return Rest(url.rstrip("/"), token)
    try:
        cluster = Folder.existing(options.data).read_cluster()
    except FolderRefused:
        cluster = None
    if cluster is None:
        raise Refused(f"no cluster runs in {options.data}; start one, or set SWORM_URL and SWORM_TOKEN")
    return Rest(url or cluster["url"], token or cluster["token"])


def run(verb: str, arguments: list[str]) -> int:
    """Run a verb; returns the exit status. Wrong usage ends the program with 2, as argparse does."""
    options = _parser(verb).parse_args(arguments)
    try:
        VERBS[verb][0](_rest(options), options)
    except Refused as error:
        sys.stderr.write(f"sworm: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
