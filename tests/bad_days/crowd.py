"""Eight people who ask and cancel as fast as they can, and who know of each request how it was answered."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlencode

REFUSED, UNANSWERED, CUT = "refused", "unanswered", "cut"


@dataclass
class Person:
    """One browser; ``answered`` counts what came back whole, by method, path and status."""

    port: int
    cookie: str
    keeps_alive: bool
    answered: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    waits_for: str = ""
    """The method of the request that is on its way."""
    connection: HTTPConnection | None = None

    def work(self) -> None:
        """Ask for access and cancel it, again and again, until nobody answers any more."""
        while not self.failed:
            page = self.send("GET", "/instances/acme/request-access")
            if page is None:
                return
            asked = self.send("POST", "/instances/acme/request-access", self.form(page[1]))
            if asked is not None and asked[0] == 303:
                self.send("POST", asked[1] + "/cancel", self.form(page[1]))
        if self.connection is not None:
            self.connection.close()

    def form(self, page: str, reason: str = "A crowd asks for it.") -> dict[str, str]:
        """A page's form, filled in; its default is taken where there is one duration only."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        duration = re.search(r'<option[^>]* value="([0-9]+)"', page)
        found = {"csrf_token": token[1] if token else "", "reason": reason}
        return found | {"duration": duration[1] if duration else "3600"}

    def send(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str] | None:
        """Send one request; return status, and body or where it leads; ``None`` when it was not answered whole."""
        host = f"localhost:{self.port}"
        headers = {"Host": host, "Cookie": f"tempadmin_session={self.cookie}", "Origin": f"http://{host}"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self.connection is None or not self.keeps_alive:
            self.connection = HTTPConnection("127.0.0.1", self.port, timeout=40)
        begun = False
        try:
            self.connection.connect() if self.connection.sock is None else None
        except OSError:
            self.failed[REFUSED] += 1
            return None
        try:
            self.connection.request(method, path, urlencode(form) if form is not None else None, headers)
            self.waits_for = method
            answer = self.connection.getresponse()
            begun = True
            body = answer.read().decode()
        except (OSError, HTTPException):
            self.failed[CUT if begun else UNANSWERED] += 1
            return None
        finally:
            self.waits_for = ""
            if not self.keeps_alive:
                self.connection.close()
        self.answered[method, path, answer.status] += 1
        return answer.status, answer.headers.get("Location", body)


class Crowd:
    """All of them at once."""

    def __init__(self, port: int, cookies: list[str]) -> None:
        self.people = [Person(port, cookie, number % 2 == 0) for number, cookie in enumerate(cookies)]
        self.threads = [threading.Thread(target=person.work) for person in self.people]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(60)

    @property
    def answered(self) -> Counter[tuple[str, str, int]]:
        return sum((person.answered for person in self.people), Counter())

    @property
    def failed(self) -> Counter[str]:
        return sum((person.failed for person in self.people), Counter())

    def are_at_work(self) -> bool:
        """Whether everybody waits for an answer now, half of them at least to a form; others may stand in line."""
        waits = Counter(one.waits_for for one in self.people if one.answered)
        return waits["POST"] + waits["GET"] == len(self.people) and waits["POST"] >= len(self.people) / 2
