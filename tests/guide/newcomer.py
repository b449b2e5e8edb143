"""Somebody who follows a guide, with a browser, an authenticator, and the link that was printed."""

from __future__ import annotations

import email
import email.policy
import re
from pathlib import Path

from tempadmin.accounts.totp import code_at
from tempadmin.clock import SystemClock
from tempadmin.settings import Settings
from tests.bench.server import add_operator
from tests.guide.pasting import Shell
from tests.loopback import Visitor
from tests.tickets.servers import wait_for
from tests.world import PASSWORD, SEED, link_in, plain

PREFIX = "TEMPADMIN_"
STEP_SECONDS, LATEST = 30, 25
REASON = {"reason": "The start page shows an empty banner.", "duration": "3600"}


def settings_in(folder: Path) -> Settings:
    """The settings that a guide has written into `tempadmin.env`."""
    lines = [line.partition("=") for line in (folder / "tempadmin.env").read_text("utf-8").splitlines()]
    return Settings(**{name.removeprefix(PREFIX).lower(): value for name, _, value in lines})  # type: ignore[arg-type]


class Newcomer(Visitor):
    """The first omniadmin of an installation that a shell has made."""

    def __init__(self, port: str, shell: Shell) -> None:
        super().__init__()
        self.console, self.port, self.shell = f"http://localhost:{port}", port, shell
        self._seed, self._last = "", 0

    @classmethod
    def colleague(cls, port: str, shell: Shell, address: str) -> Newcomer:
        """One more omniadmin, signed in: a code works once for each, and nobody likes to wait for the next."""
        one = cls(port, shell)
        one._seed = SEED
        one.cookie("tempadmin_session", add_operator(settings_in(shell.folder), address), "localhost")
        return one

    def code(self, steps_ago: int = 0) -> str:
        """A code that was not given yet: what the device shows, or showed; not in the last moments of a step."""
        wait_for(lambda: self._step() - steps_ago > self._last and self._left() > STEP_SECONDS - LATEST, 40)
        self._last = self._step() - steps_ago
        now = SystemClock().now()
        return code_at(self._seed, now.fromtimestamp(self._last * STEP_SECONDS, now.tzinfo))

    def enrol(self) -> None:
        """Open the printed link; choose a password and a device."""
        self.get(re.findall(rf"{self.console}/welcome\?key=[\w.-]+", self.shell.said)[-1])
        self._seed = re.sub(r"\s", "", self.found(r'id="secret">([A-Z2-7 ]+)<'))
        sealed = self.found(r'name="sealed"[^>]*value="([^"]+)"')
        # The code before the present one, so that the present one can sign in.
        form = {"password": PASSWORD, "password_again": PASSWORD, "sealed": sealed, "code": self.code(steps_ago=1)}
        self.post(form=form)

    def sign_in(self) -> None:
        """Sign in at the console."""
        self.get(f"{self.console}/login")
        self.post(form={"email": "you@example.com", "password": PASSWORD})
        self.post(form={"code": self.code()})
        assert self.url == f"{self.console}/"

    def enter(self, web_id: str) -> str:
        """Ask for access, confirm it by the mail's link, open the one-time link; return where that ended."""
        self.get(f"{self.console}/instances/{web_id}/request-access")
        self.post(form=REASON)
        self.get(self._newest("/access/confirm?key="))
        self.post(form={"code": self.code()})
        return self.get(self.found(rf"http://{web_id}\.localhost:{self.port}/login/ticket\?key=[\w.-]+"))

    def leave(self, web_id: str) -> None:
        """Log out and delete the account."""
        home = f"http://{web_id}.localhost:{self.port}"
        self.get(f"{home}/support-session")
        self.post(f"{home}/support-session/leave")

    def _newest(self, about: str) -> str:
        """The link with these words in the newest mail that has one; other mails may have come since."""
        mails = sorted((self.shell.folder / "mail").glob("*.eml"), key=lambda mail: -mail.stat().st_mtime_ns)
        words = (plain(email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)) for mail in mails)
        return next(link_in(text) for text in words if about in text)

    def _step(self) -> int:
        return int(SystemClock().now().timestamp()) // STEP_SECONDS

    def _left(self) -> float:
        return STEP_SECONDS - SystemClock().now().timestamp() % STEP_SECONDS
