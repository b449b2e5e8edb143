"""What runs: two web servers and two schedulers, started again when they die, as an init system would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAM = [sys.executable, "-c", "from tempadmin.cli import main; main()"]
RESTART_SECONDS = 1.0
STOP_SECONDS = 40
COMMAND_SECONDS = 120


class Service:
    """One command in a process group of its own."""

    def __init__(self, name: str, words: list[str], environment: dict[str, str], log: Path) -> None:
        self.name, self._command, self._environment, self._log = name, [*PROGRAM, *words], environment, log
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it, once nothing of it lives any more."""
        self.signal(signal.SIGKILL)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self.starts += 1

    @property
    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def pid(self) -> int:
        return 0 if self.process is None else self.process.pid

    def signal(self, number: int) -> None:
        """Signal the whole group, also what its dead master left."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def workers(self) -> list[int]:
        """The process ids of its children."""
        with suppress(OSError):
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("utf-8").split()]
        return []


class Services:
    """All of them, and the thread that starts the dead again."""

    def __init__(self, servers: list[Service], schedulers: list[Service]) -> None:
        self.servers, self.schedulers = servers, schedulers
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="init")

    @property
    def all(self) -> list[Service]:
        return [*self.servers, *self.schedulers]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep them running; end them by SIGTERM, and by SIGKILL what does not go."""
        for one in self.all:
            one.start()
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join()
            for one in self.all:
                one.signal(signal.SIGCONT)
                one.signal(signal.SIGTERM)
            for one in self.all:
                if one.process is not None:
                    with suppress(subprocess.TimeoutExpired):
                        one.process.wait(STOP_SECONDS)
                one.signal(signal.SIGKILL)

    def say_where_they_are(self) -> None:
        """Have each write what all its threads are at into its log, and die of it."""
        for one in self.all:
            one.signal(signal.SIGABRT)

    def _watch(self) -> None:
        dead_since: dict[str, float] = {}
        while not self._stopping.wait(0.2):
            for one in self.all:
                if not one.is_dead:
                    dead_since.pop(one.name, None)
                elif time.monotonic() - dead_since.setdefault(one.name, time.monotonic()) >= RESTART_SECONDS:
                    dead_since.pop(one.name)
                    one.start()


def command(words: list[str], environment: dict[str, str]) -> str | None:
    """Run another command of the program; return what it says, if it is not content."""
    done = subprocess.run(
        [*PROGRAM, *words], env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    return None if done.returncode == 0 else done.stdout + done.stderr
