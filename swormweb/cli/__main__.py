"""The door: which command, which options, which exit status.

Law: 0 done, 1 refused or failed with one sentence on stderr, 2 wrong usage. Django is not loaded here: commands that
need it become another program.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from swormweb.cli import completion, elsewhere, verbs
from swormweb.launch.down import down
from swormweb.launch.errors import LaunchError
from swormweb.launch.folder import Folder
from swormweb.launch.session import Wish, run_detached, run_foreground, say

DEFAULT_DATA = Path(".sworm")


def _count(text: str) -> int:
    return _number(text, 1, 64)


def _port(text: str) -> int:
    return _number(text, 1, 65_535)


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sworm", description="Named, supervised, stateful processes on a cluster.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    up = commands.add_parser("up", help="start a whole cluster on this machine, or what is missing of it")
    up.add_argument("--agents", type=_count, help="how many nodes (default: 3, or as many as before)")
    up.add_argument("--port", type=_port, help="of the web pages and REST (default: 8000, or as before)")
    up.add_argument("--data", type=Path, default=DEFAULT_DATA, help="the cluster's folder (default: .sworm)")
    up.add_argument("--empty", action="store_true", help="without the demo processes")
    up.add_argument("--detach", action="store_true", help="return once every part is ready")
    end = commands.add_parser("down", help="end the cluster; definitions and history stay")
    end.add_argument("--data", type=Path, default=DEFAULT_DATA, help="the cluster's folder (default: .sworm)")
    end.add_argument("--now", action="store_true", help="kill the workers instead of telling them")
    complete = commands.add_parser("completion", help='completion for a shell: eval "$(./sworm completion bash)"')
    complete.add_argument("shell", choices=completion.SHELLS)
    for name, (help_text, _) in elsewhere.COMMANDS.items():
        commands.add_parser(name, help=help_text, add_help=False)
    for name, (run, _) in verbs.VERBS.items():
        commands.add_parser(name, help=(run.__doc__ or "").rstrip(".").lower(), add_help=False)
    return parser


def _up(options: argparse.Namespace) -> None:
    wish = Wish(options.data, options.agents, options.port, options.empty)
    (run_detached if options.detach else run_foreground)(wish)


def _down(options: argparse.Namespace) -> None:
    down(Folder.existing(options.data), options.now, say)


def _completion(options: argparse.Namespace) -> None:
    sys.stdout.write(completion.script(options.shell))


_HERE: dict[str, Callable[[argparse.Namespace], None]] = {
    "up": _up,
    "down": _down,
    "completion": _completion,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        if arguments and arguments[0] in elsewhere.COMMANDS:
            return elsewhere.COMMANDS[arguments[0]][1](list(arguments[1:]))
        if arguments and arguments[0] in verbs.VERBS:
            return verbs.run(arguments[0], list(arguments[1:]))
        options = _parser().parse_args(arguments)
        _HERE[options.command](options)
    except LaunchError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:  # the reader, as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
