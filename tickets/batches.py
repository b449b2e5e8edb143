"""Many rows in small transactions: whoever waits for a page must not wait for a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from math import ceil
from threading import Event, Lock
from time import monotonic
from typing import TypeVar

I = TypeVar("I")  # noqa: E741 - the item

BATCH = 50
"""How many rows one transaction of a job changes: tens of milliseconds on SQLite, which has one writer at a time."""

AIM_SECONDS, FEWEST, MOST = 0.012, 25, 500
"""How long the changes of a job's transaction should take, on SQLite: the record of them takes as long again, the disk
its own time, and nobody else can write meanwhile. How few and how many rows one changes."""

_turn = Lock()

SHORTEST_SECONDS, ROOM_SECONDS, LONGEST_SECONDS = 0.01, 0.004, 0.5


class Pace:
    """How many rows the next transaction of a job changes: as many as take ``AIM_SECONDS``, by what the last one took.

    SQLite has one writer at a time, and a batch of a fixed size would hold its lock for as long as the machine is slow.
    """

    def __init__(self) -> None:
        self.size = BATCH

    @contextmanager
    def changing(self, rows: int) -> Iterator[None]:
        """Note how long so many rows take, inside their transaction: what the disk takes at its end depends on none."""
        began = monotonic()
        yield
        fits = int(rows * AIM_SECONDS / max(monotonic() - began, 1e-4))
        self.size = max(FEWEST, min(fits, 2 * self.size, MOST))

    def slices(self, items: Iterable[I]) -> Iterator[list[I]]:
        """Yield items in lists, each as long as fits when it is its turn."""
        left = iter(items)
        while some := list(islice(left, self.size)):
            yield some

    def evenly(self, items: Sequence[I]) -> Iterator[Sequence[I]]:
        """Yield items in slices that fit, none much shorter than the others."""
        at = 0
        while at < len(items):
            many = ceil((len(items) - at) / ceil((len(items) - at) / self.size))
            yield items[at : at + many]
            at += many


@contextmanager
def leaving_room(*, unless: bool = False) -> Iterator[None]:
    """Leave others the database, and the interpreter, for a sixth of the time that this took.

    Who waits to write looks every few milliseconds (``tempadmin.turns``), so a short room is enough for those who come
    first; and a job takes six sevenths of the time at most, however slow the machine is.

    Parameters
    ----------
    unless
        No room is left: this was one row, and a person waits for it.
    """
    begun = monotonic()
    yield
    if not unless:
        Event().wait(min(max((monotonic() - begun) / 6, ROOM_SECONDS), LONGEST_SECONDS))


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
