"""The verbs that take long: handoff, migrate, rebalance, restart, drain, and what is asked about their operations.

Law: each asks for one operation and looks at it until it ends; a dry run shows the moves and changes nothing. Who stops
looking (Ctrl-C) stops nothing: the line says how to.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from swormweb.cli.common import Options, Verbs, WrongUsage, argument, fitting, number, one_of, show, show_list, whole
from swormweb.cli.progress import Progress
from swormweb.cli.rest import Refused, Rest, segment

#: Pause between two looks at an operation, in seconds.
EVERY = 0.5

STATES = ("pending", "running", "succeeded", "failed", "cancelled")
ENDED = STATES[2:]
KINDS = ("handoff", "migrate", "rebalance", "restart", "drain")
MOVE = ("sworm", "name", "from", "to", "problem")
OPERATION = ("id", "kind", "target", "state", "progress", "requested_by", "created_at", "reason", "problem")
STEP = ("name", "from", "to", "state", "attempts", "detail", "why")


def handoff(rest: Rest, options: Options) -> None:
    """Move one process with its state, or several."""
    sworm, to = f"/sworms/{segment(options.sworm)}", options.to
    if len(options.names) == 1:
        path = f"{sworm}/processes/{segment(options.names[0])}/handoff"
        _ask(rest, options, path, {"to": to, "dry_run": options.dry_run})
    else:
        _ask(rest, options, f"{sworm}/migrate", {"names": options.names, "to": to, "dry_run": options.dry_run})


def migrate(rest: Rest, options: Options) -> None:
    """Move everything of a sworm that a node runs, or some processes."""
    body = {"from": getattr(options, "from"), "to": options.to, "names": options.name, **_pace(options)}
    _ask(rest, options, f"/sworms/{segment(options.sworm)}/migrate", body)


def rebalance(rest: Rest, options: Options) -> None:
    """Move a sworm's processes to where its strategy wants them."""
    body = {"dwell_s": options.dwell_s, "max_per_minute": options.max_per_minute, "dry_run": options.dry_run}
    _ask(rest, options, f"/sworms/{segment(options.sworm)}/rebalance", _given(body))


def restart(rest: Rest, options: Options) -> None:
    """Restart one process, or several, or every process of a sworm, a few at a time."""
    sworm = f"/sworms/{segment(options.sworm)}"
    if len(options.names) != 1:
        _ask(rest, options, f"{sworm}/restart", _given({"names": options.names or None, **_pace(options)}))
        return
    (name,) = options.names
    if options.dry_run or options.max_per_minute is not None or options.max_at_once is not None:
        raise WrongUsage("one process restarts at once: no --dry-run, --max-per-minute or --max-at-once with a name")
    rest.ask("POST", f"{sworm}/processes/{segment(name)}/restart", _reason(options))
    show(options, None, f"{options.sworm}/{name} is restarted")


def drain(rest: Rest, options: Options) -> None:
    """Move everything away from a node, which then ends."""
    body = {"deadline_s": options.deadline_s, "dry_run": options.dry_run}
    _ask(rest, options, f"/nodes/{segment(options.node)}/drain", body)


def operations(rest: Rest, options: Options) -> None:
    """Operations, the newest first; one of them with its processes; or `cancel ID`."""
    match options.what:
        case []:
            filters = {name: getattr(options, name) for name in ("state", "kind", "sworm", "node")}
            found = list(rest.items("/operations", **filters))
            show(options, found, fitting(OPERATION, map(_flat, found)))
        case ["cancel", id_]:
            told = rest.ask("POST", f"/operations/{segment(id_)}/cancel", _reason(options))
            show(options, told, f"{_named(told)}: {'cancelling' if told['cancelling'] else told['state']}")
        case [id_] if id_ != "cancel":
            _one_operation(rest, options, id_)
        case _:
            raise WrongUsage("it is `operations`, `operations ID` or `operations cancel ID`")


def _one_operation(rest: Rest, options: Options, id_: str) -> None:
    path = f"/operations/{segment(id_)}"
    if options.follow:
        _follow(rest, options, rest.ask("GET", path))
        return
    told = rest.ask("GET", path)
    if options.json:
        show(options, told, "")
        return
    show(options, told, fitting(OPERATION, [_flat(told)]))
    show_list(options, STEP, rest.items(f"{path}/steps"))


# ------------------------------------------------------------------------------------------------------------ following


def _ask(rest: Rest, options: Options, path: str, body: dict[str, Any]) -> None:
    told = rest.ask("POST", path, {**body, **_reason(options)})
    if "moves" in told:
        explained = any(move.get("why") for move in told["moves"])
        show(options, told, fitting((*MOVE, "why") if explained else MOVE, told["moves"]))
    elif options.no_wait:
        show(options, told, f"{_named(told)}: operation {told['id']}")
    else:
        _follow(rest, options, told)


def _follow(rest: Rest, options: Options, told: dict[str, Any]) -> None:
    """Show an operation's progress until it ends; a refusal when that is no good end."""
    progress = Progress()
    try:
        while told["state"] not in ENDED:
            progress.show(told)
            time.sleep(EVERY)
            told = rest.ask("GET", f"/operations/{segment(told['id'])}")
    except KeyboardInterrupt:
        progress.end()
        sys.stderr.write(f"sworm: it goes on; `./sworm operations cancel {told['id']}` stops it\n")
        raise
    progress.end()
    show(options, told, f"{_named(told)}: {told['state']}")
    if told["state"] != "succeeded":
        raise Refused(f"{_named(told)} {told['state']}: {_why(told)}")


def _why(told: dict[str, Any]) -> str:
    problem = told["problem"]
    if not isinstance(problem, dict):
        done, total = told["progress"]["done"], told["progress"]["total"]
        return str(problem) if problem else f"{done} of {total} were done"
    left = problem.get("left_behind") or []
    return f"{problem['detail']} ({problem['code']}){': ' + ', '.join(left) if left else ''}"


def _named(told: dict[str, Any]) -> str:
    return f"{told['kind']} {told['target']}"


def _flat(operation: dict[str, Any]) -> dict[str, Any]:
    progress, problem = operation["progress"], operation["problem"]
    said = problem.get("detail") if isinstance(problem, dict) else problem
    return {**operation, "progress": f"{progress['done']}/{progress['total']}", "problem": said}


def _pace(options: Options) -> dict[str, Any]:
    pace = {"max_per_minute": options.max_per_minute, "max_at_once": options.max_at_once, "dry_run": options.dry_run}
    return _given(pace)


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _reason(options: Options) -> dict[str, str]:
    return {"reason": options.reason} if options.reason else {}


_TO = argument("--to", help="node; the cluster chooses otherwise")
_REASON = argument("--reason", help="why; kept in the audit")
_SWORM = argument("sworm")
_PER_MINUTE = argument("--max-per-minute", type=number, help="most begun in a minute")
_AT_ONCE = argument("--max-at-once", type=whole, help="most under way at once")
_LONG = (
    argument("--dry-run", action="store_true", help="show what would move, change nothing"),
    argument("--no-wait", action="store_true", help="print the operation's id and return"),
    _REASON,
)

VERBS: Verbs = {
    "handoff": (handoff, (_SWORM, argument("names", nargs="+", metavar="name"), _TO, *_LONG)),
    "migrate": (
        migrate,
        (
            _SWORM,
            argument("--from", metavar="NODE", help="the node to leave"),
            argument("--name", action="append", help="a process; may be given again"),
            _TO, _PER_MINUTE, _AT_ONCE, *_LONG,
        ),
    ),
    "rebalance": (
        rebalance,
        (
            _SWORM, _PER_MINUTE,
            argument("--dwell-s", type=number, help="seconds that a process stays before it moves again"),
            *_LONG,
        ),
    ),
    "restart": (restart, (_SWORM, argument("names", nargs="*", metavar="name"), _PER_MINUTE, _AT_ONCE, *_LONG)),
    "drain": (
        drain,
        (
            argument("node"),
            argument("--deadline-s", type=number, default=30, help="seconds until what is left is stopped"),
            *_LONG,
        ),
    ),
    "operations": (
        operations,
        (
            argument("what", nargs="*", metavar="ID | cancel ID"),
            argument("--follow", action="store_true", help="of one: show its progress until it ends"),
            one_of("--state", STATES),
            one_of("--kind", KINDS),
            argument("--sworm"),
            argument("--node"),
            _REASON,
        ),
    ),
}  # fmt: skip
