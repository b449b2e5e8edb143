"""Many rows in small transactions: whoever waits for a page must not wait for a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock
from time import monotonic

BATCH = 50
"""How many rows one transaction of a job changes: tens of milliseconds on SQLite, which has one writer at a time."""

_turn = Lock()

SHORTEST_SECONDS, LONGEST_SECONDS = 0.01, 0.5


def in_batches(ids: Sequence[int], size: int = BATCH) -> Iterator[Sequence[int]]:
    """Yield ids in slices, in their order."""
    for at in range(0, len(ids), size):
        yield ids[at : at + size]


@contextmanager
def leaving_room(*, unless: bool = False) -> Iterator[None]:
    """Leave others the database, and the interpreter, for as long as this took.

    SQLite queues no writers: whoever waits tries again and again, and would find no gap between two transactions of a
    job that only yields. So a job takes half of the time at most, however slow the machine is.

    Parameters
    ----------
    unless
        No room is left: this was one row, and a person waits for it.
    """
    begun = monotonic()
    yield
    if not unless:
        Event().wait(min(max(monotonic() - begun, SHORTEST_SECONDS), LONGEST_SECONDS))


@contextmanager
def in_turn(*, unless: bool = False) -> Iterator[None]:
    """Have the lanes of this process write one after the other, with a gap: they press no more than one alone would.

    Parameters
    ----------
    unless
        Nobody's turn is waited for: a person waits for this.
    """
    if unless:
        yield
        return
    with _turn:
        yield
        Event().wait(SHORTEST_SECONDS)
