"""Disks that fill up and folders that take nothing: by mounts where we may mount, by limits and modes where not."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.tickets.servers import Server

MAY_MOUNT = os.geteuid() == 0
ROOM = 12_000_000
FILLED = "ballast"


class Disk(Protocol):
    """Where a server keeps its data."""

    folder: Path

    def fill(self, server: Server) -> None:
        """Leave no room."""

    def empty(self, server: Server) -> None:
        """Make room again."""


class SmallDisk:
    """A file system of its own, in memory: there is no space left on the device."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, _server: Server) -> None:
        with (self.folder / FILLED).open("wb", buffering=0) as ballast:
            for size in (65_536, 1):
                try:
                    while ballast.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def empty(self, _server: Server) -> None:
        (self.folder / FILLED).unlink()


class SmallFiles:
    """A limit on the size of every file that the server's processes write, for whoever may not mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, server: Server) -> None:
        self._limit(server, max(path.stat().st_size for path in self.folder.glob("tempadmin.db*")))

    def empty(self, server: Server) -> None:
        self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server: Server, size: int) -> None:
        assert server.process is not None
        master = server.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for pid in (master, *map(int, children)):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(params=["no space", "no larger file"] if MAY_MOUNT else ["no larger file"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be filled."""
    folder = tmp_path / "data"
    folder.mkdir()
    if request.param == "no larger file":
        yield SmallFiles(folder)
        return
    with mounted("-t", "tmpfs", "-o", f"size={ROOM}", "none", str(folder)):
        yield SmallDisk(folder)


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Make a folder and all in it read-only, until the test ends."""
    undo: list[Callable[[], object]] = []

    def make(folder: Path) -> None:
        if MAY_MOUNT:
            for options in ("bind", "remount,ro,bind"):
                subprocess.run(["mount", "-o", options, str(folder), str(folder)], check=True)
            undo.append(lambda: subprocess.run(["umount", "--lazy", str(folder)], check=True))
            return
        for path in (*folder.rglob("*"), folder):
            mode = path.stat().st_mode
            undo.append(lambda path=path, mode=mode: path.chmod(mode))  # type: ignore[misc]
            path.chmod(mode & 0o555)

    yield make
    for action in reversed(undo):
        action()


@contextmanager
def mounted(*what: str) -> Iterator[None]:
    subprocess.run(["mount", *what], check=True)
    yield
    subprocess.run(["umount", "--lazy", what[-1]], check=True)
