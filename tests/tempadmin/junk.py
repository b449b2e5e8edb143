"""Junk: what scanners, broken browsers and bored people send, as bytes on the wire, and where it is sent."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlsplit

from sqlalchemy import Engine, event
from werkzeug.test import TestResponse

from tests.browser import Browser
from tests.tempadmin.stage import PEOPLE

BAD_REQUEST = 400
CLOSED = ("login", 403, 404)
TABLE: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "routes.toml").read_text("utf-8"))
# What ends somebody's own session comes last, or nobody would be left to send junk.
LAST = re.compile("logout|leave|/end|cancel|deactivate")
HUGE = b"A" * 100_000
VALUES: tuple[bytes, ...] = (
    b"",
    b" ",
    b"\0",
    b"a sentence with a NUL\0 in its middle",
    b"\xed\xa0\x80 a lone surrogate, as some write it",
    b"\xff\xfe\xc0\xaf no UTF-8 at all",
    "１２３４５６".encode(),
    b"-1",
    b"0",
    b"9" * 30,
    b"9" * 5_000,
    b"1e309",
    b"NaN",
    b"a line\r\nSet-Cookie: tempadmin_session=mine\r\n\r\nand more",
    "\u202egnp.exe \u0000 \U000e0001 \ufeff \u2028".encode(),
    b"../../../../etc/passwd",
    b"{{ 7 * 7 }} ${7*7} %s %n %(x)s {0.__class__}",
    b"' OR 1=1; DROP TABLE users; --",
    b"nobody\0@acme.example",
    HUGE,
)
QUERIES: tuple[bytes, ...] = (
    b"key=%00&code=%00&request=%00&challenge=%00&q=%00&page=%00&sort=%00&tab=%00&after=%00",
    b"key=%ff%fe&code=%ff&request=%ff&challenge=%ff&q=%ff%00&page=%ff&sort=%ff&tab=%ff&after=%ff&before=%ff",
    b"key=%ED%A0%80&code=%ED%A0%80&request=%ED%A0%80&q=%ED%A0%80&page=-1&before=%ED%A0%80&sort=-&tab=",
    b"page=" + b"9" * 5_000 + b"&q=" + b"%25" * 500,
    "page=１２&q=１２".encode(),
    b"page=99999999&sort=name%00&q=%0d%0aSet-Cookie:%20a=b",
    b"key=a.b.c&code=a&request=abcdefgh&challenge=" + b"c" * 43,
    b"key[]=1&key[a][b]=2&q=1&q=2&page=1&page=2",
    b"%",
    b"%zz&&&===;",
    b"q=" + b"A" * 20_000,
)
PARAMETERS: tuple[bytes, ...] = (
    b"\0",
    b"acme\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"0",
    b"-1",
    b"9" * 30,
    b"9" * 5_000,
    "１".encode(),
    b"a\r\nb",
    b"..",
    b"%2e%2e%2f",
    b"A" * 5_000,
)
COOKIES = ("tempadmin_session", "tempadmin_pre", "tempadmin_device", "tempadmin_handoff")
COOKIE_VALUES = ("", "s.", "a.b.c", "\xff\xfe", "A" * 4_000, "9" * 400, "eyJhIjoxfQ.aaaa.bbbb", "%00", '"\\000"')
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Body:
    """A body as it is sent."""

    what: str
    data: bytes
    content_type: str = FORM


def bodies(form: dict[str, str], token: str) -> Iterator[Body]:
    """Every kind of nonsense for a form, each with a good token, so that it comes as far as it can."""
    csrf = b"csrf_token=" + quote(token).encode()
    names = list(form)
    yield Body("nothing at all", b"", "")
    yield Body("no field", csrf)
    for missing in names:
        left = {name: value for name, value in form.items() if name != missing}
        yield Body(f"without {missing}", b"&".join([csrf, *_pairs(left)]))
    yield Body("each field twice", b"&".join([csrf, csrf, *_pairs(form), *_pairs(form)]))
    yield Body("array names", b"&".join([csrf, *(quote(f"{name}[]").encode() + b"=1" for name in names)]))
    yield Body("nested names", b"&".join([csrf, *(quote(f"{name}[a][b]").encode() + b"=1" for name in names)]))
    yield Body("2,000 fields", b"&".join([csrf, *(b"f%d=1" % at for at in range(2_000))]))
    for at, value in enumerate(VALUES if names else ()):
        yield Body(f"all {value[:20]!r}", b"&".join([csrf, *_all(names, value)]))
        # One field of junk among good ones, each in its turn: what one check would stop must not hide the others.
        name = names[at % len(names)]
        rest = {other: text for other, text in form.items() if other != name}
        if rest:
            yield Body(f"{name} {value[:20]!r}", b"&".join([csrf, *_all([name], value), *_pairs(rest)]))
    yield Body("a token of junk", b"csrf_token=%00%ff" + b"&".join([b"", *_pairs(form)]))
    yield Body("JSON", b'{"csrf_token": 1, "reason": ["\\u0000\\ud800"]}', "application/json")
    yield Body("broken JSON", b'{"a": ', "application/json; charset=nonsense")
    yield Body("XML", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "text/xml")
    yield Body("a form in another charset", csrf, FORM + "; charset=utf-16")
    yield Body("no content type", csrf, "")
    yield Body("a content type of junk", csrf, "\xff\x00/;;=")
    yield Body("multipart without a boundary", csrf, "multipart/form-data")
    yield Body("multipart that never ends", b'--x\r\nContent-Disposition: form-data; name="code"\r\n\r\n1', MULTIPART)
    yield Body("multipart of junk", b"--x\r\n\xff\xfe\0\r\n--x--", MULTIPART)
    yield Body("a file in each field", _files(names, token), MULTIPART)


def send(browser: Browser, method: str, target: bytes, body: Body | None = None) -> TestResponse:
    """Send bytes as they are; ``target`` is the path with its query, percent-encoded."""
    parts = urlsplit(browser.url)
    path, _, query = target.partition(b"?")
    headers = {"Origin": f"{parts.scheme}://{parts.netloc}"} if method == "POST" else {}
    return Context().run(
        browser.client.open,
        path=path.decode("ascii"),
        query_string=query.decode("latin-1"),
        base_url=f"{parts.scheme}://{parts.netloc}",
        method=method,
        data=body.data if body else None,
        content_type=(body.content_type or None) if body else None,
        headers=headers,
        buffered=True,
    )


def wrong(response: TestResponse) -> bool:
    """Tell whether an answer is none that is meant for people, or for a probe that asks in vain for a scheduler."""
    text = response.get_data(as_text=True)
    failed = response.status_code >= 500 and (response.request.path, response.status_code) != ("/readyz", 503)
    return failed or "Traceback" in text or "sqlalchemy" in text.lower()


def places_of(row: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Every person where the route lives, and whether the form gets as far as its view and is not anybody's."""
    for place in ("console", "customer"):
        public = row[place][0] not in CLOSED
        for person, expected in zip(PEOPLE, row[place], strict=True):
            if set(row[place]) != {404}:
                yield place, person, expected not in CLOSED and (person == PEOPLE[0] or not public)


class Writes:
    """What was committed since it was asked last: the names of the tables, last-seen times and activity apart (S02)."""

    STATEMENT = re.compile(r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+\"?(\w+)", re.IGNORECASE)

    def __init__(self, engine: Engine) -> None:
        self._open: dict[int, set[str]] = {}
        self._done: set[str] = set()
        event.listen(engine, "after_cursor_execute", self._note)
        event.listen(engine, "commit", self._commit)
        event.listen(engine, "rollback", lambda connection: self._open.pop(id(connection), None))

    def taken(self) -> set[str]:
        """Return the tables and begin anew."""
        done, self._done = self._done, set()
        return done

    def _note(self, connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        found = self.STATEMENT.match(statement)
        moved = cursor.rowcount != 0 or statement.lstrip().upper().startswith("INSERT")
        apart = "last_seen_at" in statement or "SET activity_count" in statement
        if found and moved and not apart and found[1] != "activity":
            self._open.setdefault(id(connection), set()).add(found[1])

    def _commit(self, connection: Any) -> None:
        self._done |= self._open.pop(id(connection), set())


def _pairs(form: dict[str, str]) -> list[bytes]:
    return [f"{quote(name)}={quote(value)}".encode() for name, value in form.items()]


def _all(names: list[str], value: bytes) -> list[bytes]:
    return [quote(name).encode() + b"=" + quote_from_bytes(value).encode() for name in names]


def _files(names: list[str], token: str) -> bytes:
    parts = [b'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n' + token.encode()]
    for name in names:
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a\0.txt"\r\n'.encode()
        parts.append(head + b"Content-Type: nonsense\r\n\r\n\xff\0")
    return b"\r\n".join([*parts, b"--x--\r\n"])
