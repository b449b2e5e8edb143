"""What the processes of a server hold: memory, descriptors, threads, and the log that SQLite writes ahead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("minute", "PSS MiB", "master", "workers", "RSS MiB", "files", "threads", "WAL MiB", "cycles", "p50", "p99")
HEADER = "".join(f"{name:>10}" for name in COLUMNS) + "  (p50, p99: ms of a request)\n"


@dataclass(frozen=True)
class Sample:
    """One look: memory in MiB, times of requests in milliseconds."""

    minute: float
    pss: float
    master: float
    workers: float
    rss: float
    files: int
    threads: int
    wal: float
    cycles: int
    median: float
    slow: float

    def line(self) -> str:
        """One line of the table."""
        memory = (self.minute, self.pss, self.master, self.workers, self.rss)
        counted = (self.files, self.threads, round(self.wal, 2), self.cycles)
        return (
            "".join(f"{one:>10.1f}" for one in memory)
            + "".join(f"{one:>10}" for one in counted)
            + (f"{self.median:>10.1f}{self.slow:>10.1f}\n")
        )


def look(master: int, folder: Path, minute: float, times: list[float], cycles: int) -> Sample:
    """Look at a master, its workers and the database's files."""
    pids = [master, *children(master)]
    shares = [pss(pid) for pid in pids]
    ordered = sorted(times) or [0.0]
    wal = folder / "tempadmin.db-wal"
    return Sample(
        minute=minute,
        pss=sum(shares),
        master=shares[0],
        workers=sum(shares[1:]),
        rss=sum(_kib(Path(f"/proc/{pid}/status"), "VmRSS") for pid in pids) / 1024,
        files=sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
        threads=sum(_kib(Path(f"/proc/{pid}/status"), "Threads") for pid in pids),
        wal=wal.stat().st_size / 2**20 if wal.exists() else 0.0,
        cycles=cycles,
        median=ordered[len(ordered) // 2],
        slow=ordered[int(len(ordered) * 0.99)],
    )


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()]


def pss(pid: int) -> float:
    """Return what a process holds, in MiB: shared pages counted by their share."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1024


def _kib(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", file.read_text("utf-8"), re.MULTILINE)
    return int(found[1]) if found else 0
