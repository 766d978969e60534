"""The command `simulate`: many seeds, or one again.

Law: exit status 0 when every invariant held, 1 when one broke (the output names it, its seed, and the command that
replays it), 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from supervisor.simulation.mutants import MUTANTS
from supervisor.simulation.run import Outcome, run_seed

#: Seeds handed to a process at once.
CHUNK = 10


def _number(least: int, most: int) -> object:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sworm simulate", description="Clusters of real cores under virtual time.")

    def number(flag: str, least: int, most: int, default: int | None, text: str) -> None:
        parser.add_argument(flag, type=_number(least, most), default=default, help=text)  # type: ignore[arg-type]

    number("--seeds", 1, 10**9, 1000, "how many seeds (default: 1000)")
    number("--first", 0, 10**12, 0, "the first seed (default: 0)")
    number("--nodes", 0, 50, 0, "at most so many nodes (default: the seed decides)")
    number("--seed", 0, 10**12, None, "run this one seed alone")
    number("--seconds", 1, 10**6, None, "begin no more seeds after so many seconds")
    number("--jobs", 1, 64, os.cpu_count() or 1, "processes")
    parser.add_argument("--go-on", action="store_true", help="run the other seeds, too, after one that fails")
    parser.add_argument("--trace", metavar="TEXT", help="with --seed: print each event and effect that holds this text")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), metavar="NAME", help="plant a historic bug first")
    parser.add_argument("--list-mutants", action="store_true", help="print their names, one a line")
    return parser


def say(line: str) -> None:
    """One line for whoever asked."""
    sys.stdout.write(line + "\n")


def _plant(mutant: str | None) -> None:
    if mutant:
        MUTANTS[mutant].plant()


def _outcomes(options: argparse.Namespace) -> Iterable[Outcome]:
    if options.seed is not None:
        _plant(options.mutant)
        yield run_seed(options.seed, options.nodes, say if options.trace is not None else None, options.trace or "")
        return
    seeds = range(options.first, options.first + options.seeds)
    until = time.monotonic() + options.seconds if options.seconds else float("inf")
    with ProcessPoolExecutor(options.jobs, initializer=_plant, initargs=(options.mutant,)) as pool:
        step = CHUNK * options.jobs
        for start in range(0, len(seeds), step):
            if time.monotonic() >= until:
                return
            yield from pool.map(run_seed, seeds[start : start + step], repeat(options.nodes), chunksize=CHUNK)


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    if options.list_mutants:
        say("\n".join(MUTANTS))
        return 0
    began = time.monotonic()
    done = steps = failed = 0
    for outcome in _outcomes(options):
        done += 1
        steps += outcome.steps
        if outcome.problem:
            failed += 1
            say(f"seed {outcome.seed}: {outcome.problem}")
            say(f"replay: {_replay(options, outcome.seed)}")
            if not options.go_on:
                return 1
    took = time.monotonic() - began
    verdict = f"{failed} of them broke one" if failed else "every invariant held"
    say(f"{done} seeds, {steps} steps, {verdict}, {took:.1f} s ({60 * done / max(took, 1e-9):.0f} a minute)")
    return int(failed > 0)


def _replay(options: argparse.Namespace, seed: int) -> str:
    nodes = f" --nodes {options.nodes}" if options.nodes else ""
    mutant = f" --mutant {options.mutant}" if options.mutant else ""
    return f"./sworm simulate --seed {seed}{nodes}{mutant}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
