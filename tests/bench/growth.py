"""`make growth`: what each thing costs while instances, past requests or the record grow, on both databases.

Each size is measured in turns with the smallest, so that a noisy machine spoils neither; ratios are what counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests import postgresql
from tests.bench.meter import Meter
from tests.bench.side import AXES, Side

SIZES = (100, 1_000, 10_000, 100_000)
ROUNDS = 12
MOST = 1.2
"""How much more a page may cost with everything at its largest than with everything small."""
Costs = dict[str, dict[int, dict[str, float]]]
"""By thing and size: processor time in ms, its ratio to the smallest size, and ms by the clock on the wall."""


def main() -> None:
    """Fill, measure, tell; exit code 1 when a page has become slower than it may."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--axes", default=",".join(AXES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="a file to keep the figures in")
    options = parser.parse_args()
    figures: dict[str, dict[str, Costs]] = {}
    for kind in options.databases.split(","):
        for axis in options.axes.split(","):
            found = _grow(kind, axis, sorted(options.sizes), options.rounds)
            figures.setdefault(kind, {})[axis] = found
            if options.json:
                options.json.write_text(json.dumps(figures, indent=1))
    sys.exit(0)


def _grow(kind: str, axis: str, sizes: list[int], rounds: int) -> Costs:
    """Let one thing grow; return what everything costs at each size, and how that stands to the smallest."""
    found: Costs = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = stack.enter_context(_databases(kind))
        small, large = (
            stack.enter_context(closing(Side(folder / name, url))) for name, url in zip("ab", urls, strict=True)
        )
        small.fill(axis, sizes[0])
        for size in sizes:
            begun = time.perf_counter()
            large.fill(axis, size)
            filled = time.perf_counter()
            few, many = _measure(small, large, rounds)
            measured = time.perf_counter()
            for name in many.cpu:
                cost, before = many.median(name), few.median(name)
                found.setdefault(name, {})[size] = {"ms": cost, "ratio": cost / before, "wall": many.wall_median(name)}
            _say(f"{kind}, {size:,} {axis}: filled in {filled - begun:.0f} s, measured in {measured - filled:.0f} s")
            for name, costs in found.items():
                _say(f"  {name:32} {costs[size]['ms']:9.2f} ms {costs[size]['ratio']:6.2f}")
    return found


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _measure(small: Side, large: Side, rounds: int) -> tuple[Meter, Meter]:
    """Do everything in both by turns; return what it cost in each."""
    for side in (small, large):
        side.meter.forget()
        side.round()  # caches of statements and pages are filled
        side.meter.forget()
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for side in (small, large):
            side.round()
            gc.collect()
    gc.enable()
    for side in (small, large):
        side.long_ones()
    return small.meter, large.meter


@contextmanager
def _databases(kind: str) -> Iterator[tuple[str | None, str | None]]:
    if kind == "sqlite":
        yield None, None
        return
    with postgresql.cluster(fsync="on") as cluster:
        yield cluster.url(cluster.new_database()), cluster.url(cluster.new_database())


if __name__ == "__main__":
    main()
