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
    parser.add_argument("--seeds", type=_number(1, 10**9), default=1000, help="how many seeds (default: 1000)")  # type: ignore[arg-type]
    parser.add_argument("--first", type=_number(0, 10**12), default=0, help="the first seed (default: 0)")  # type: ignore[arg-type]
    parser.add_argument("--nodes", type=_number(2, 50), default=5, help="at most so many nodes (default: 5)")  # type: ignore[arg-type]
    parser.add_argument("--seed", type=_number(0, 10**12), help="run this one seed alone")  # type: ignore[arg-type]
    parser.add_argument("--mutant", choices=sorted(MUTANTS), metavar="NAME", help="plant a historic bug first")
    parser.add_argument("--list-mutants", action="store_true", help="print their names, one a line")
    parser.add_argument("--seconds", type=_number(1, 10**6), help="begin no more seeds after so many seconds")  # type: ignore[arg-type]
    parser.add_argument("--jobs", type=_number(1, 64), default=os.cpu_count() or 1, help="processes")  # type: ignore[arg-type]
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
        yield run_seed(options.seed, options.nodes)
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
    done = steps = 0
    for outcome in _outcomes(options):
        done += 1
        steps += outcome.steps
        if outcome.problem:
            mutant = f" --mutant {options.mutant}" if options.mutant else ""
            say(f"seed {outcome.seed}: {outcome.problem}")
            say(f"replay: ./sworm simulate --seed {outcome.seed} --nodes {options.nodes}{mutant}")
            return 1
    took = time.monotonic() - began
    say(f"{done} seeds, {steps} steps, every invariant held, {took:.1f} s ({60 * done / max(took, 1e-9):.0f} a minute)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
