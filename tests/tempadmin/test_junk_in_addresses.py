"""Junk in every address and cookie: an answer that is meant, never a 500, and what is refused changes nothing."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

import pytest

from tempadmin.db import db
from tests.tempadmin.junk import (
    BAD_REQUEST,
    COOKIE_VALUES,
    COOKIES,
    LAST,
    PARAMETERS,
    QUERIES,
    TABLE,
    Body,
    Writes,
    places_of,
    send,
    wrong,
)
from tests.tempadmin.stage import SESSION_COOKIE, Stage
from tests.world import World

pytestmark = pytest.mark.timeout(300)

LOOKED_AT = (b"/", b"/login", b"/login/verify", b"/account", b"/login/return?code=a", b"/welcome?key=a")


@pytest.mark.parametrize("where", ["query", "path"])
def test_junk_in_every_address_gets_a_clear_answer(where: str, unlimited: World, stage: Stage) -> None:
    """Query strings and path parameters of every route, asked for and posted to."""
    bad: list[tuple[object, ...]] = []
    writes = Writes(db.engine)
    for name, row in TABLE.items():
        method, rule = name.split(" ")
        if where == "query":
            path = row.get("open", rule).format(**stage.words).partition("?")[0].encode()
            targets = [path + b"?" + query for query in QUERIES]
        else:
            parts = re.split(r"<[^>]+>", rule)
            targets = [quote_from_bytes(junk, safe="").encode().join(map(str.encode, parts)) for junk in PARAMETERS]
            targets = targets if len(parts) > 1 else []
        for place, person, deep in places_of(row):
            if not deep or LAST.search(rule):
                continue
            browser = stage.browser(unlimited, place, person)
            browser.get("/login")
            body = Body("a good token", f"csrf_token={browser.token}".encode())
            for target in targets:
                response = send(browser, method, target, body if method == "POST" else None)
                changed = writes.taken()
                changed = changed if method == "GET" or response.status_code >= BAD_REQUEST else set()
                if wrong(response) or (changed and not row.get("writes")):
                    bad.append((name, place, person, target[:60], response.status_code, changed))
    assert bad == []


def test_junk_in_every_cookie_gets_a_clear_answer(unlimited: World, stage: Stage) -> None:
    """The session's, the pre-session's, the device's and the hand-off's, alone and with good ones beside them."""
    bad: list[tuple[object, ...]] = []
    writes = Writes(db.engine)
    for place, person in (("console", "omniadmin"), ("customer", "temporary"), ("customer", "anonymous")):
        for cookie in COOKIES:
            for value in COOKIE_VALUES:
                browser = stage.browser(unlimited, place, person)
                host = "localhost" if place == "console" else "acme.localhost"
                browser.client.set_cookie(cookie, value, domain=host)
                for path in LOOKED_AT:
                    response = send(browser, "GET", path)
                    if wrong(response) or writes.taken():
                        bad.append((place, person, cookie, value[:20], path, response.status_code))
                browser.get("/login")
                body = Body("a form", f"csrf_token={browser.token}&email=a%40b.example&password=x&code=1".encode())
                for path in (b"/login/verify", b"/logout", b"/account"):
                    if (cookie, path) != (SESSION_COOKIE, b"/logout") and path == b"/logout":
                        continue
                    response = send(browser, "POST", path, body)
                    if wrong(response):
                        bad.append((place, person, cookie, value[:20], path, response.status_code))
                writes.taken()
    assert bad == []
