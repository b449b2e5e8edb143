"""One server's workers count each in files of its own, in a folder below ``data``; a scrape adds them up.

The folder is made before the fork and locked for as long as one of the workers lives, so another server on the same
data leaves it alone, and the next start removes it. What a worker counted that died is added to a file that stays.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The library reads it when it is first imported."""
OWNED, MERGING = ".owned", ".merging"
GONE = 0
"""Stands for all workers that are gone, where files carry a process's id."""

_unburied: set[int] = set()


def prepare(data: Path) -> None:
    """Make this server's folder and remove those of servers that are gone; called before anything is counted."""
    top = data / "metrics"
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(top / MERGING, fcntl.LOCK_EX):
        for folder in [path for path in top.iterdir() if path.is_dir()]:
            if _own(folder):
                shutil.rmtree(folder)
        made = Path(tempfile.mkdtemp(dir=top))
        _own(made)
    os.environ[VARIABLE] = str(made.absolute())


def folder() -> Path | None:
    """Return this server's folder; ``None`` in a process that counts for itself alone."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


@contextmanager
def all_there() -> Iterator[None]:
    """Read while no worker's files are being moved: counted twice, or not at all, they would look like a jump."""
    found = folder()
    if found is None:
        yield
        return
    with _locked(found / MERGING, fcntl.LOCK_SH):
        yield


def bury(pid: int) -> None:
    """Add what a dead worker counted to what all dead ones did, and remove its files; called by the master.

    The master waits for nobody: a worker that was stopped in the middle of a scrape would take it along. Files that
    are left for the next time are counted where they lie.
    """
    found = folder()
    if found is None:
        return
    _unburied.add(pid)
    with suppress(BlockingIOError), _locked(found / MERGING, fcntl.LOCK_EX | fcntl.LOCK_NB):
        while _unburied:
            _absorb(found, _unburied.pop())


def _absorb(found: Path, pid: int) -> None:
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415 - without metrics nobody loads it

    for file in found.glob(f"*_{pid}.db"):
        total = MmapedDict(str(found / file.name.replace(f"_{pid}.db", f"_{GONE}.db")))  # type: ignore[no-untyped-call]
        try:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
                total.write_value(key, total.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
        finally:
            total.close()  # type: ignore[no-untyped-call]
            file.unlink()


def _own(folder: Path) -> bool:
    """Lock a folder for as long as this process or one that it forks lives; false while others do."""
    descriptor = os.open(folder / OWNED, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True


@contextmanager
def _locked(file: Path, how: int) -> Iterator[None]:
    with file.open("a") as opened:
        fcntl.flock(opened, how)
        yield
