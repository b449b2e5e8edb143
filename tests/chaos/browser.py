"""A browser over real HTTP that writes down what it sends and what came back; it repeats nothing by itself."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.chaos.history import NEVER, OK, REFUSED, UNKNOWN, Recorder

ANSWER_SECONDS = 12
SESSION = "tempadmin_session"
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')

Jar = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What came back, if anything did."""

    outcome: str
    status: int = 0
    location: str = ""
    body: str = ""
    retry_after: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.outcome == OK


@dataclass
class Web:
    """Where the two servers listen, under which address they are known, and where it is all written down."""

    ports: list[int]
    address: int
    """The port of ``base_url``: nobody listens there, as behind a reverse proxy."""
    recorder: Recorder

    def url(self, host: str, path: str = "") -> str:
        return f"http://{host}:{self.address}{path}"


@dataclass
class Browser:
    """One window: a jar of cookies for each host, and the last form token seen there."""

    web: Web
    name: str
    owner: int
    """The id of whoever is signed in there."""
    doors: random.Random
    """Which of the two servers is asked first."""
    jars: dict[str, Jar] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def twin(self, name: str) -> Browser:
        """Another window of the same browser as it is now; what it learns it keeps for itself."""
        jars = {host: dict(jar) for host, jar in self.jars.items()}
        return Browser(self.web, name, self.owner, random.Random(self.doors.random()), jars, dict(self.tokens))

    def cookie(self, host: str) -> str | None:
        """The session cookie that it holds for a host."""
        return self.jars.get(host, {}).get(SESSION)

    def do(
        self,
        kind: str,
        method: str,
        url: str,
        form: dict[str, str] | None = None,
        *,
        when: Callable[[Answer], bool] = lambda answer: True,
        told: Callable[[Answer], dict[str, Any]] = lambda answer: {},
        **facts: Any,
    ) -> Answer:
        """Send one request, write down how it went.

        Parameters
        ----------
        when
            What an answer below 400 must be like for *ok*.
        told
            What the history keeps of an answer that is.
        """
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path + (f"?{parts.query}" if parts.query else "")
        first = self.doors.choice(self.web.ports)
        facts |= {"person": self.owner, "door": self.web.ports.index(first), "cookie": label(self.cookie(host))}
        number = self.web.recorder.begin(self.name, kind, **facts)
        answer = Answer(NEVER)
        for port in sorted(self.web.ports, key=lambda one: one != first):
            if answer.outcome == NEVER:  # as a reverse proxy does with a server that takes no connection
                answer = self._send(port, method, host, path, form)
        if answer.outcome == OK and not when(answer):
            answer = replace(answer, outcome=REFUSED)
        found = told(answer) if answer.ok else {"retry_after": answer.retry_after} if answer.status == 503 else {}
        self.web.recorder.end(number, answer.outcome, status=answer.status, **found)
        return answer

    def _send(self, port: int, method: str, host: str, path: str, form: dict[str, str] | None) -> Answer:
        jar = self.jars.setdefault(host, {})
        headers = {"Host": f"{host}:{self.web.address}", "Connection": "close"}
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        body = None
        if form is not None:
            body = urlencode({**form, "csrf_token": self.tokens.get(host, "")})
            headers |= {"Origin": self.web.url(host), "Content-Type": "application/x-www-form-urlencoded"}
        connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        try:
            connection.connect()
        except OSError:
            return Answer(NEVER)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, HTTPException):
            return Answer(UNKNOWN)
        finally:
            connection.close()
        for header in response.headers.get_all("Set-Cookie") or []:
            name, _, value = header.partition(";")[0].partition("=")
            jar[name] = value
            if not value:
                del jar[name]
        if (token := TOKEN.search(text)) is not None:
            self.tokens[host] = token[1]
        outcome = OK if response.status < 400 else REFUSED if response.status < 500 else UNKNOWN
        location, retry_after = response.headers.get("Location") or "", response.headers.get("Retry-After")
        return Answer(outcome, response.status, location, text, retry_after)


def label(secret: str | None) -> str | None:
    """A name for a secret that tells nothing of it."""
    return None if secret is None else hashlib.sha256(secret.encode()).hexdigest()[:12]


def leads_to(path: str) -> Callable[[Answer], bool]:
    """Want a redirect whose path begins so."""
    return lambda answer: answer.status in (302, 303) and urlsplit(answer.location).path.startswith(path)


def is_page(answer: Answer) -> bool:
    """Want the page itself, and not the way to the sign-in."""
    return answer.status == 200
