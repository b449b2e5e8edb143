"""A server that is killed at one commit after the other, each time while somebody else walks the main job."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import closing, suppress
from http.client import HTTPException
from itertools import count
from pathlib import Path

from tempadmin.accounts.totp import code_at
from tempadmin.clock import SystemClock
from tests.bench.client import Client
from tests.tickets import elsewhere
from tests.tickets.killing import HEADER
from tests.tickets.servers import START_SECONDS, Server, wait_for
from tests.world import SEED

ROOT = Path(__file__).parents[2]
PEOPLE = 40
"""More than the main job has commits; each walk needs somebody whose code was not used yet."""

ENTITLED = """
    SELECT id, account_name FROM access_requests
    WHERE state IN ('provisioning', 'awaiting_confirmation', 'ready', 'active', 'ending')"""
STRAY_ACCOUNTS = f"""
    SELECT users.id FROM users LEFT JOIN ({ENTITLED}) AS entitled ON entitled.id = users.access_request_id
    WHERE users.kind = 'temporary' AND entitled.id IS NULL"""
USABLE_SESSIONS = """
    SELECT login_sessions.id FROM login_sessions
    LEFT JOIN access_requests ON access_requests.id = login_sessions.access_request_id
    WHERE login_sessions.access_request_id IS NOT NULL AND login_sessions.ended_at IS NULL
        AND (access_requests.state IS NULL OR access_requests.state <> 'active')"""


class Person(Client):
    """An operator and their browser; with ``dies`` set, their requests ask the server to die."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(server.port, {"tempadmin_session": server.cookies[number]})
        self.address, self.mails, self.dies = f"op{number}@o.example", server.folder / "mail", ""
        self.console, self.acme = f"http://localhost:{server.port}", f"http://acme.localhost:{server.port}"

    def ask(self, method, path, body, headers):
        return super().ask(method, path, body, headers | ({HEADER: self.dies} if self.dies else {}))

    def request_access(self) -> None:
        form = self.console + "/instances/acme/request-access"
        self.send("GET", form)
        self.send("POST", form, {"reason": "Somebody pulls the plug.", "duration": "3600"})

    def links(self) -> list[str]:
        """The confirmation links that were mailed, newest first."""
        mails = [path.read_text() for path in sorted(self.mails.glob("*.eml"), reverse=True)]
        mine = [mail for mail in mails if self.address in mail]
        return [link for mail in mine for link in re.findall(r"^http://\S+/access/confirm\S+$", mail, re.MULTILINE)]

    def confirm(self) -> None:
        """Confirm by the newest link that works: a mail that was sent late may hold one that was replaced."""
        for link in self.links():
            with suppress(RuntimeError):
                self.send("GET", link)
                self.send("POST", link, {"code": code_at(SEED, SystemClock().now())})
                return
        raise AssertionError(f"no link of {self.address} works")

    def enter(self) -> None:
        """Follow the one-time link that the page shows."""
        link = re.search(r"http://acme[^\s\"<]+/login/ticket\?key=[\w.-]+", self.body)
        assert link is not None, self.body
        assert self.send("GET", link[0]) == self.acme + "/"

    def leave(self) -> None:
        self.send("GET", self.acme + "/users")
        assert self.send("POST", self.acme + "/support-session/leave", {}) == self.acme + "/left"

    def walk(self) -> None:
        """The main job, from the first page to the last."""
        self.request_access()
        self.confirm()
        self.enter()
        self.leave()

    def survives(self, dies: str) -> bool:
        """Walk while the server is asked to die; tell whether the walk came home."""
        self.send("GET", self.console + "/instances")  # their session's last use is noted now, and not in the walk
        self.dies = dies
        try:
            self.walk()
        except (OSError, HTTPException):
            return False
        finally:
            self.dies = ""
            self.close()
        return True

    def is_inside(self) -> bool:
        return self.send("GET", self.acme + "/users") == self.acme + "/users"

    def go_on(self) -> None:
        """Come back without a page open, and do what there is to do until one has left."""
        self.send("GET", self.console + "/access")
        mine = re.search(r'href="(/access/[\w-]{8,40})"', self.body)
        if mine is None:
            self.walk()
            return
        page = self.console + mine[1]
        if not self.is_inside():
            self.send("GET", page)
            offered = re.findall(r'action="/access/[\w-]+/([a-z-]+)"', self.body)
            if "send-again" in offered:
                if not self.links():
                    self.send("POST", page + "/send-again", {})
                self.confirm()
                self.enter()
            elif "new-link" in offered:
                self.send("POST", page + "/new-link", {})
                self.enter()
            elif "end" in offered:  # somebody is inside, and the answer with the cookie never came
                self.send("POST", page + "/end", {})
        if self.is_inside():
            self.leave()


class Launcher:
    """The process that forks servers for us (`tests/tickets/killing.py`)."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.master = 0
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.tickets.killing"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def start(self, port: int) -> None:
        print(port, file=self.process.stdin, flush=True)
        self.master = self._answer()

    def exit_code(self) -> int:
        """Wait for the server's end."""
        code, self.master = self._answer(), 0
        return code

    def close(self) -> None:
        if self.master:
            os.killpg(self.master, signal.SIGKILL)
        self.process.communicate(timeout=START_SECONDS)

    def _answer(self) -> int:
        return int(self.process.stdout.readline()) if self.process.stdout else 0


class KilledServer(Server):
    """Killed all over first, by itself afterwards."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, operators=PEOPLE, rate_limits="off", **settings)
        self.people: list[Person] = []
        # Its directory is a module like a customer's own would be: found on the path, named in the settings.
        self.environment["PYTHONPATH"] = str(Path(elsewhere.__file__).parent)
        self.environment["TEMPADMIN_MODULES"] = "instances,scheduler,tickets,elsewhere"

    def kill_everywhere(self, side: str, **settings: str) -> list[str]:
        """Kill it before or after each commit of a walk; return in which state that left each walk's request.

        The first walk is killed at its first commit, the second at its second, until one comes home: so a commit that
        is added to the main job is a kill that is added here.
        """
        variables = {f"TEMPADMIN_{name.upper()}": value for name, value in settings.items()}
        left: list[str] = []
        launcher = Launcher(self.environment | variables, self.folder / "launcher.log")
        with closing(launcher):
            for number in count(1):
                launcher.start(self.port)
                wait_for(self.answers, START_SECONDS)
                self.people.append(person := Person(self, number - 1))
                if person.survives(f"{side} {number}"):
                    return left
                assert launcher.exit_code() == -signal.SIGKILL
                assert self.strays() == []
                left.append(self.state_of(person))
        return left

    def stop(self) -> None:
        for person in self.people:
            person.close()
        super().stop()

    def state_of(self, person: Person) -> str:
        """Where a person's request stands; nothing when there is none."""
        query = "SELECT state FROM access_requests WHERE requester_email = :address"
        return "".join(row.state for row in self.rows(query, address=person.address))

    def strays(self) -> list[object]:
        """Accounts whose request is not between `provisioning` and `ending`, here and elsewhere."""
        entitled = {row.account_name for row in self.rows(ENTITLED)}
        folder = self.folder / elsewhere.FOLDER
        there = {path.name for path in folder.iterdir()} if folder.exists() else set()
        return [*self.rows(STRAY_ACCOUNTS), *(there - entitled)]

    def is_settled(self) -> bool:
        """Whether nothing is on its way any more: each request waits for its person, or has ended."""
        return not {"provisioning", "ending"} & set(self.states())

    def what_is_wrong(self) -> list[object]:
        """What does not fit once all is over: rows, cookies that still open something, the record, the doctor."""
        inside = [person.address for person in self.people if person.is_inside()]
        return [*self.strays(), *self.rows(USABLE_SESSIONS), *inside, *self.complaints()]
