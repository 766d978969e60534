"""`./sworm bench [NAME …]`: carry out the benchmarks and print the table.

Law: exit status 0 when every benchmark could be carried out, whatever it gave; 1 when one could not; 2 for wrong usage.
Progress goes to stderr, the table to stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import machine, table
from bench.cluster import Bench, Trouble, bench
from bench.measures import calling, failing, healing, holding, registering, watching, whole
from bench.rows import ROWS, results
from bench.scale import FULL, QUICK, Scale

Measure = Callable[[Bench, Scale], Iterator[tuple[str, float]]]

#: Name -> one run of it.
MEASURES: dict[str, Measure] = {
    "register-one": registering.one_node,
    "register": registering.three_nodes,
    "register-many": registering.many,
    "seen": registering.seen,
    "spread": registering.spread,
    "call": calling.calls,
    "kill": failing.kill,
    "stop": failing.stop,
    "handoff": failing.handoff,
    "heal": healing.heal,
    "memory": holding.memory,
    "idle": holding.idle,
    "up": whole.up,
    "rest": whole.rest,
    "stream": watching.stream,
}


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sworm bench", description="Measure Sworm on this machine.")
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(MEASURES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--runs", type=int, default=3, help="of each benchmark (default: 3)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one run: only shows that all of it works")
    options = parser.parse_args(words)
    unknown = [name for name in options.name if name not in MEASURES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(MEASURES)}")
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def measure(names: Sequence[str], runs: int, scale: Scale, failed: list[str]) -> Iterator[tuple[str, float]]:
    """Carry out benchmarks, `runs` times each; those that could not be carried out are added to `failed`."""
    with bench() as place:
        for name in names:
            for run in range(1, runs + 1):
                say(f"{name}: run {run} of {runs}")
                try:
                    for key, value in MEASURES[name](place, scale):
                        say(f"  {ROWS[key].text}: {table.number(value)} {ROWS[key].unit}")
                        yield key, value
                except Trouble as trouble:
                    say(f"{name}: {trouble}")
                    failed.append(name)


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def main(words: Sequence[str]) -> int:
    """Run; returns the exit status."""
    options = _arguments(words)
    scale, runs = (QUICK, 1) if options.quick else (FULL, options.runs)
    described, failed = machine.describe(), list[str]()
    found = results(measure(options.name or list(MEASURES), runs, scale, failed))
    print("\n".join(f"{what}: {value}" for what, value in described.items()), end="\n\n")
    print(table.markdown(found))
    if options.quick:
        print("\nThe sizes were tiny: these figures mean nothing but that each can be had.")
    if options.json:
        options.json.write_text(json.dumps(table.document(described, found), indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
