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
from tests.bench.document import Costs, write_growth
from tests.bench.meter import Meter
from tests.bench.side import AXES, INSTANCES, PAST, RECORD, Side

Figures = dict[str, dict[str, Costs]]

SIZES, MILLION = (100, 1_000, 10_000, 100_000), 1_000_000
ROUNDS, REPEATED = 10, 3
MOST = {INSTANCES: 1.5, PAST: 1.2, RECORD: 1.2}
"""How many times as much a page may cost with the most of something as with the least."""
VERIFIED_UP_TO = 100_000
"""Every event of a chain is verified: minutes for a million requests, and nothing new."""
NO_PAGES = ("job: ", "metrics", "doctor", "audit verify")
EXPLAINED = ("audit: search", "list: search, all found", "list: search, a whole host")
"""Pages that look for a text: docs/performance.md says what they cost."""


def main() -> None:
    """Fill, measure, tell; exit code 1 when a page has become slower than it may."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--million", default="sqlite", help="databases that go on to a million")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--axes", default=",".join(AXES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="a file to which the figures are added")
    parser.add_argument("--write", action="store_true", help="write them into docs/performance.md, with their pictures")
    parser.add_argument("--drawn", action="store_true", help="measure nothing: write what the file holds")
    options = parser.parse_args()
    kept = options.json is not None and options.json.exists()
    figures: Figures = _read(options.json) if kept else {}
    for kind in [] if options.drawn else options.databases.split(","):
        sizes = sorted({*options.sizes, *([MILLION] if kind in options.million.split(",") else [])})
        for axis in options.axes.split(","):
            known = figures.setdefault(kind, {}).setdefault(axis, {})
            for name, found in _grow(kind, axis, sizes, options.rounds).items():
                known.setdefault(name, {}).update(found)
            if options.json is not None:
                options.json.write_text(json.dumps(figures, indent=1))
    if options.write:
        write_growth(figures)
    slower = list(_slower(figures))
    for line in slower or ["No page costs more than it may, with the most of everything."]:
        sys.stdout.write(line + "\n")
    sys.exit(1 if slower else 0)


def _slower(figures: Figures) -> Iterator[str]:
    for kind, axes in figures.items():
        for axis, costs in axes.items():
            for name, sizes in costs.items():
                largest = max(sizes)
                ratio = sizes[largest]["ratio"]
                if _is_slower(axis, name, ratio):
                    yield f"{kind}, {largest:,} {axis}: {name} costs {ratio:.2f} times as much"


def _is_slower(axis: str, name: str, ratio: float) -> bool:
    return ratio > MOST[axis] and not name.startswith(NO_PAGES) and name not in EXPLAINED


def _read(file: Path) -> Figures:
    """Return the figures of former runs; JSON has no numbers for names."""
    return {
        kind: {
            axis: {name: {int(size): one for size, one in sizes.items()} for name, sizes in costs.items()}
            for axis, costs in axes.items()
        }
        for kind, axes in json.loads(file.read_text()).items()
    }


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
            few, many = _measure(small, large, rounds, axis=axis, verify=size <= VERIFIED_UP_TO or axis == INSTANCES)
            measured = time.perf_counter()
            for name in many.cpu:
                cost, before = many.median(name), few.median(name)
                found.setdefault(name, {})[size] = {"ms": cost, "ratio": cost / before, "wall": many.wall_median(name)}
            _say(f"{kind}, {size:,} {axis}: filled in {filled - begun:.0f} s, measured in {measured - filled:.0f} s")
            for name in many.cpu:
                _say(f"  {name:32} {found[name][size]['ms']:9.2f} ms {found[name][size]['ratio']:6.2f}")
    return found


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _measure(small: Side, large: Side, rounds: int, *, axis: str, verify: bool) -> tuple[Meter, Meter]:
    """Do everything in both by turns; return what it cost in each."""
    for side in (small, large):
        side.meter.forget()
        side.round()  # caches of statements and pages are filled
        side.meter.forget()
    gc.collect()
    gc.disable()
    for _ in range(REPEATED):
        for _ in range(rounds):
            for side in (small, large):
                side.round()
                gc.collect()
        if not any(
            _is_slower(axis, name, large.meter.median(name) / small.meter.median(name)) for name in large.meter.cpu
        ):
            break  # or a busy moment of the machine may be to blame, and more rounds will tell
    gc.enable()
    for side in (small, large):
        side.long_ones(verify=verify)
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
