"""Many rows in small transactions: whoever waits for a page must not wait for a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Event, Lock
from time import monotonic
from typing import TypeVar

I = TypeVar("I")  # noqa: E741 - the item

BATCH = 50
"""How many rows one transaction of a job changes: tens of milliseconds on SQLite, which has one writer at a time."""

AIM_SECONDS, FEWEST, MOST = 0.025, 25, 1000
"""How long a job's transaction should hold SQLite's lock for writers; how few and how many rows it changes."""

_turn = Lock()

SHORTEST_SECONDS, LONGEST_SECONDS = 0.01, 0.5


class Pace:
    """How many rows the next transaction of a job changes: as many as take ``AIM_SECONDS``, by what the last one took.

    SQLite has one writer at a time, and a batch of a fixed size would hold its lock for as long as the machine is slow.
    """

    def __init__(self) -> None:
        self.size, self._began = BATCH, 0.0

    def begin(self) -> None:
        """Note that the writer's lock is held from now on."""
        self._began = monotonic()

    def end(self, rows: int) -> None:
        """Note that it is held no longer, and by how many rows; part of it is the disk's, whatever their number."""
        fits = int(rows * AIM_SECONDS / max(monotonic() - self._began, 1e-4))
        self.size = max(FEWEST, min(fits, 2 * self.size, MOST))

    def slices(self, items: Iterable[I]) -> Iterator[list[I]]:
        """Yield items in lists, each as long as fits when it is its turn."""
        left = iter(items)
        while some := list(islice(left, self.size)):
            yield some


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
