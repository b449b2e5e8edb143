"""Many rows in small transactions: whoever waits for a page must not wait for a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event

BATCH = 50
"""How many rows one transaction of a job changes: tens of milliseconds on SQLite, which has one writer at a time."""

BREATH_SECONDS = 0.01
"""SQLite queues no writers; whoever waits tries again and again, and would find no gap between two batches."""


def in_batches(ids: Sequence[int], size: int = BATCH) -> Iterator[Sequence[int]]:
    """Yield ids in slices, in their order, with a breath for everybody else between two."""
    for at in range(0, len(ids), size):
        if at:
            breathe()
        yield ids[at : at + size]


def breathe() -> None:
    """Let others have the database, and the interpreter, for a moment."""
    Event().wait(BREATH_SECONDS)
