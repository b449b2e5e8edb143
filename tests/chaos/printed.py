"""A run in numbers: what was tried and how it came back, what was broken, and which promises were kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import quantiles
from textwrap import wrap

from tests.chaos.history import NEVER, OK, REFUSED, UNKNOWN, History, Operation
from tests.chaos.judge import Seen
from tests.chaos.verdicts import Verdict

OUTCOMES = (OK, REFUSED, NEVER, UNKNOWN)
SHOWN = 3
"""How many counterexamples of each promise are told with their operations."""


def report(seen: Seen, *, seed: str, seconds: float) -> str:
    """Everything that is printed."""
    history, verdicts = seen.history, seen.verdicts
    broken = sum(len(verdict.broken) for verdict in verdicts)
    ends = Counter(str(row["end_reason"]) for row in seen.final.requests)
    parts = [_operations(history), _counted("trouble", _troubles(history)) + _counted("ends", ends)]
    parts += [_promises(verdicts), _counterexamples(history, verdicts)]
    last = f"{broken} broken promises; play it again: make chaos SECONDS={seconds:g} SEED={seed}\n"
    return "\n".join([*(part for part in parts if part), last])


def _operations(history: History) -> str:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in history.operations:
        counts[one.kind][one.outcome] += 1
    lines = [f"{'operation':<18}{''.join(f'{word:>9}' for word in OUTCOMES)}{'p50 ms':>9}{'p99 ms':>9}"]
    for kind, outcomes in sorted(counts.items()):
        numbers = "".join(f"{outcomes[word]:>9,}" for word in OUTCOMES)
        lines.append(f"{kind:<18}{numbers}{_times(list(history.of(kind)))}")
    total: Counter[str] = sum(counts.values(), Counter())
    lines.append(f"{'all':<18}{''.join(f'{total[word]:>9,}' for word in OUTCOMES)}{_times(history.operations)}")
    return "\n".join(lines) + "\n"


def _times(operations: list[Operation]) -> str:
    """The median and the 99th percentile of those that were answered, outages and pauses included."""
    spent = [1000 * (one.ended - one.begun) for one in operations if one.ended and one.outcome in (OK, REFUSED)]
    if len(spent) < 2:
        return f"{'':>18}"
    cuts = quantiles(spent, n=100, method="inclusive")
    return f"{cuts[49]:>9,.0f}{cuts[98]:>9,.0f}"


def _troubles(history: History) -> Counter[str]:
    return Counter(fault.kind for fault in history.faults if not fault.kind.startswith(("end of", "heal")))


def _counted(what: str, counts: Counter[str]) -> str:
    told = ", ".join(f"{kind} {times:,}" for kind, times in sorted(counts.items()))
    return "\n".join(wrap(f"{what:<18}{told}", 110, subsequent_indent=" " * 18)) + "\n"


def _promises(verdicts: list[Verdict]) -> str:
    lines = [f"{'promise':<62}{'checked':>9}{'broken':>9}"]
    lines += [f"{one.promise:<62}{one.checked:>9,}{len(one.broken):>9,}" for one in verdicts]
    return "\n".join(lines) + "\n"


def _counterexamples(history: History, verdicts: list[Verdict]) -> str:
    by_number = {one.number: one for one in history.operations}
    lines = []
    for verdict in verdicts:
        for broken in verdict.broken[:SHOWN]:
            lines.append(f"BROKEN {verdict.promise}: {broken.words}")
            lines += [f"    {_line(by_number[number])}" for number in broken.operations if number in by_number]
    return "\n".join(lines) + ("\n" if lines else "")


def _line(one: Operation) -> str:
    ended = "never" if one.ended is None else f"{one.ended:.3f}"
    return f"{one.number} {one.client} {one.kind} {one.begun:.3f}–{ended} {one.outcome} {one.facts} {one.found}"
