"""Writes what was measured into ``docs/performance.md``, each table between two marks of its own, and draws it."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from tempadmin.clock import SystemClock
from tests.bench.chart import chart
from tests.bench.steps import STEPS

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = DOCS / "performance.md"
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
CYCLE = "grant cycle, all of it"
SHOWN = {
    "list: first page": "list, first page",
    "list: search, one found": "search in the list",
    "list: search, a whole host": "search for a whole host",
    "access: page of an old one": "page of an old access",
    "customer: support access": "customer's page",
    "audit": "audit page",
    CYCLE: "whole grant cycle",
    "metrics": "scrape of metrics",
    "doctor": "doctor",
    "audit verify": "audit verify",
}
"""What the pictures show, of all that the tables hold."""
ONCE = ("job: cleanup", "doctor", "audit verify")
"""What is measured once at each size."""
TITLES = {
    "instances": ("What each thing costs while instances grow", "virtual instances, each with an administrator"),
    "past requests": (
        "What each thing costs while past requests grow",
        "past requests, each with 8 audit events, 3 rows of activity, 2 tickets, 5 mails and a session",
    ),
    "rows of the record": (
        "What each thing costs while one record grows",
        "audit events of one chain, and rows of one access's activity",
    ),
}

Costs = dict[str, dict[int, dict[str, float]]]
"""By thing and size: ``ms`` of processor time, its ``ratio`` to the smallest size, ``wall`` ms."""
Figures = Mapping[str, Mapping[str, Costs]]
"""By database and axis."""


def write_growth(figures: Figures) -> None:
    """Put tables and pictures of growth where they belong."""
    block = [_machine(), ""]
    for axis, (title, across) in TITLES.items():
        found = {kind: _with_cycle(_steady(axes[axis])) for kind, axes in figures.items() if axis in axes}
        if not found:
            continue
        picture = DOCS / "images" / f"growth-{axis.replace(' ', '-')}.svg"
        panels = {
            NAMES[kind]: {
                label: {size: one["ms"] for size, one in costs[name].items()}
                for name, label in SHOWN.items()
                if name in costs
            }
            for kind, costs in found.items()
        }
        picture.write_text(chart(title, across, panels), "utf-8")
        words = f"All figures while {axis} grow: ms of processor time"
        block += [f"![{title}](images/{picture.name})", "", f"<details><summary>{words}</summary>", ""]
        block += [*_table(found), "", "</details>", ""]
    _replace("growth", "\n".join(block))


def write_bench(figures: Mapping[str, Mapping[str, float]], table: str) -> None:
    """Put what `make bench` prints where it belongs."""
    load = ", ".join(f"{figures[kind]['load average at the start']:.1f}" for kind in figures)
    _replace("bench", f"{_machine()} Load average before each database's turn: {load}.\n\n```text\n{table}```\n")


def _steady(costs: Costs) -> Costs:
    """Take the machine's moods out: a size costs as much more than the smallest one as it did in turns with it."""
    return {
        name: {
            size: {"ms": one["ms"] if name in ONCE else one["ratio"] * sizes[min(sizes)]["ms"]}
            for size, one in sizes.items()
        }
        for name, sizes in costs.items()
    }


def _with_cycle(costs: Costs) -> Costs:
    """Add the sum of the steps of a grant cycle."""
    steps = [name for name in STEPS if name in costs and name != "list of instances"]
    whole = {size: {"ms": sum(costs[name][size]["ms"] for name in steps)} for size in costs[steps[0]]}
    others = {name: cost for name, cost in sorted(costs.items()) if name not in STEPS}
    return others | {CYCLE: whole} | {f"· {name}": costs[name] for name in steps}


def _table(found: Mapping[str, Costs]) -> list[str]:
    columns = [(kind, size) for kind, costs in found.items() for size in sorted(costs[CYCLE])]
    heads = [f"{NAMES[kind]} {size:,}" for kind, size in columns]
    rows = ["| | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(columns)]
    names = dict.fromkeys(name for costs in found.values() for name in costs)
    for name in names:
        cells = [found[kind].get(name, {}).get(size) for kind, size in columns]
        rows.append(f"| {name} | " + " | ".join("–" if one is None else _said(one["ms"]) for one in cells) + " |")
    return rows


def _said(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def _machine() -> str:
    cores, release = os.cpu_count(), sqlite3.sqlite_version
    return (
        f"Measured {SystemClock().now():%Y-%m-%d} on {cores} cores ({platform.machine()}), "
        f"Python {platform.python_version()}, SQLite {release}."
    )


def _replace(name: str, block: str) -> None:
    """Put a block between its two marks."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = DOCUMENT.read_text("utf-8")
    found = re.sub(f"(?s){begin}.*?{end}", lambda _: f"{begin}\n{block}\n{end}", text)
    if begin not in text or end not in text:
        raise ValueError(f"{DOCUMENT.name} has no marks for {name}")
    DOCUMENT.write_text(found, "utf-8")
