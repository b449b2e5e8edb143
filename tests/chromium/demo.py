"""`tempadmin demo` as a new user runs it: a process, a folder, its mails, its database, its codes."""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

import pyotp

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-c", "from tempadmin.cli import main; main()")
START_SECONDS, STOP_SECONDS, PATIENCE_SECONDS = 60, 20, 40
STEP_SECONDS, MARGIN_SECONDS = 30, 5
T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """The condition's first value that is not None; a failure when the time is up."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while (value := condition()) is None:
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.05)
    return value


class Authenticator:
    """A person's device. It is as late as the service allows (one step), so that two codes seldom need a wait."""

    def __init__(self, secret: str) -> None:
        self._totp, self._last = pyotp.TOTP(secret), 0
        self.code = ""

    def fresh_code(self) -> str:
        """A code that was not given yet and lives a few seconds more; waits for the next step when there is none."""
        self._last = wait_for(self._unused_step, "a new time step")
        self.code = self._totp.generate_otp(self._last)
        return self.code

    def _unused_step(self) -> int | None:
        step, gone = divmod(int(time.time()), STEP_SECONDS)
        oldest = step - 1 if STEP_SECONDS - gone > MARGIN_SECONDS else step
        unused = max(self._last + 1, oldest)
        return unused if unused <= step else None


class Demo:
    """A running demo world."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._output, self._log = folder / "output", folder / "log"
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with self._output.open("wb") as output, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*PROGRAM, "demo", "--data", self.data, "--port", str(port), "--json"],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
            )
        self.world: dict[str, Any] = {}
        self._devices: dict[str, Authenticator] = {}
        self._port = int(port)

    def __enter__(self) -> Self:
        """Wait until it answers."""
        try:
            self.world = json.loads(wait_for(self._first_line, "the first line", seconds=START_SECONDS))
            wait_for(self._answers, "an answer", seconds=START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the process by its own id."""
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `tempadmin` on this folder."""
        command = [*PROGRAM, *arguments, "--data", str(self.data)]
        return subprocess.run(
            command, cwd=ROOT, env=self._environment(), capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def console(self) -> str:
        return str(self.world["console"])

    def omniadmin(self, first_name: str) -> dict[str, str]:
        """An omniadmin's credentials."""
        return next(one for one in self.world["omniadmins"] if one["email"].startswith(first_name.lower()))

    def instance(self, web_id: str) -> dict[str, Any]:
        """A customer's instance and its people."""
        return next(one for one in self.world["instances"] if one["web_id"] == web_id)

    def device(self, secret: str) -> Authenticator:
        """The one device that shows this secret's codes."""
        return self._devices.setdefault(secret, Authenticator(secret))

    def mail(self, recipient: str, subject: str) -> str:
        """The body of the newest mail to a person with these words in its subject; waits until it lands."""
        return wait_for(lambda: self._newest_mail(recipient, subject), f"mail to {recipient}: {subject}")

    def link(self, recipient: str, subject: str) -> str:
        """The one link in that mail."""
        (link,) = set(re.findall(r"https?://\S+", self.mail(recipient, subject)))
        return str(link)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Look straight into the database."""
        with closing(sqlite3.connect(f"file:{self.data / 'tempadmin.db'}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()

    def _newest_mail(self, recipient: str, subject: str) -> str | None:
        for path in sorted(Path(self.world["mail_dir"]).glob("*.eml"), reverse=True):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if message["To"] == recipient and subject in message["Subject"]:
                text = message.get_body(preferencelist=("plain",))
                return None if text is None else str(text.get_content())
        return None

    def _first_line(self) -> str | None:
        self._still_runs()
        line, end, _ = self._output.read_text().partition("\n")
        return line if end else None

    def _answers(self) -> bool | None:
        self._still_runs()
        with closing(socket.socket()) as probe:
            return True if probe.connect_ex(("127.0.0.1", self._port)) == 0 else None

    def _still_runs(self) -> None:
        assert self._process.poll() is None, f"the demo ended:\n{self._log.read_text()[-4000:]}"

    @staticmethod
    def _environment() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("TEMPADMIN_", "FLASK_"))}
