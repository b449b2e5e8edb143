"""What the master does before it forks: its pages are shared by all workers, each until somebody writes to it."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

M_ARENA_MAX = -8
"""``mallopt(3)``'s name for the number of heaps."""


def settle() -> None:
    """Leave what is here alone for good, and keep to one heap; another C library than glibc has its own ways.

    glibc gives each thread a heap of its own, which keeps what was freed in it: 2 MiB a worker (measured). Threads of
    Python's take turns anyway.
    """
    gc.freeze()  # without a look for garbage first: there is next to none, and it took a tenth of the start
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        libc.malloc_trim(0)
