"""Junk on every form, address and cookie: an answer that is meant, never a 500, and what is refused changes nothing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from sqlalchemy import delete
from werkzeug.test import TestResponse

from tempadmin.accounts.models import Throttle
from tempadmin.db import db, transaction
from tests.conftest import Build
from tests.tempadmin.junk import COOKIE_VALUES, COOKIES, PARAMETERS, QUERIES, Body, Writes, bodies, send
from tests.tempadmin.stage import ANONYMOUS, OMNIADMIN, PEOPLE, TEMPORARY, Stage, prepare
from tests.world import World

pytestmark = pytest.mark.timeout(300)

BAD_REQUEST, TOO_MANY = 400, 429
CLOSED = ("login", 403, 404)
LOOKED_AT = (b"/", b"/login", b"/login/verify", b"/account", b"/login/return?code=a", b"/welcome?key=a")
SESSION = "tempadmin_session"
TABLE: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "routes.toml").read_text("utf-8"))
# What ends somebody's own session comes last, or nobody would be left to send junk.
LAST = re.compile("logout|leave|/end|cancel|deactivate")
GUESSES = {"throttles", "audit_events", "audit_heads", "virtual_instances"}
"""What a wrong password or code leaves behind on purpose (S12)."""


@pytest.fixture
def scene(build: Build, tmp_path: Path) -> tuple[World, Stage]:
    """The stage with all its people, on either database, with no ceiling per address."""
    world = build(rate_limits=False)
    cookies, words = prepare(world)
    return world, Stage(tmp_path, world.clock.time, cookies, words)


def wrong(response: TestResponse) -> bool:
    """Tell whether an answer is none that is meant for people."""
    text = response.get_data(as_text=True)
    return response.status_code >= 500 or "Traceback" in text or "sqlalchemy" in text.lower()


def places_of(row: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Every person where the route lives, and whether the form gets as far as its view and is not anybody's."""
    for place in ("console", "customer"):
        public = row[place][0] not in CLOSED
        for person, expected in zip(PEOPLE, row[place], strict=True):
            if set(row[place]) != {404}:
                yield place, person, expected not in CLOSED and (person == PEOPLE[0] or not public)


def forms(world: World) -> list[str]:
    """Every route that takes a POST, from the application itself."""
    found = [rule.rule for rule in world.app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    return sorted(found, key=lambda rule: (LAST.search(rule) is not None, rule))


def test_junk_in_every_form_gets_a_clear_answer(scene: tuple[World, Stage]) -> None:
    """As nobody, member, administrator, omniadmin and in a support session; what is refused changes nothing."""
    world, stage = scene
    bad: list[tuple[object, ...]] = []
    writes, sent = Writes(db.engine), 0
    for rule in forms(world):
        row = TABLE[f"POST {rule}"]
        target = row.get("open", rule).format(**stage.words).encode()
        guesses = GUESSES if set(row.get("form", {})) & {"code", "password", "present"} else set()
        known: set[str] = set()
        for place, person, deep in places_of(row):
            browser = stage.browser(world, place, person)
            browser.get("/login")
            kind = person if person in (OMNIADMIN, TEMPORARY) else ANONYMOUS
            for at, body in enumerate(bodies(row.get("form", {}), browser.token)):
                if at % (1 if deep and kind not in known else 7):
                    continue  # refused before anybody reads it, or the same form again: a sample is enough
                response = send(browser, "POST", target, body)
                sent += 1
                changed = writes.taken() - guesses
                changed = changed if response.status_code >= BAD_REQUEST else set()
                if wrong(response) or changed:
                    bad.append((rule, place, person, body.what, response.status_code, changed))
                if response.status_code in (BAD_REQUEST, TOO_MANY):
                    with transaction() as session:
                        session.execute(delete(Throttle))
                    writes.taken()
            known |= {kind} if deep else set()
    assert bad == []
    assert sent > 800


@pytest.mark.parametrize("where", ["query", "path"])
def test_junk_in_every_address_gets_a_clear_answer(where: str, scene: tuple[World, Stage]) -> None:
    """Query strings and path parameters of every route, asked for and posted to."""
    world, stage = scene
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
            browser = stage.browser(world, place, person)
            browser.get("/login")
            body = Body("a good token", f"csrf_token={browser.token}".encode())
            for target in targets:
                response = send(browser, method, target, body if method == "POST" else None)
                changed = writes.taken()
                changed = changed if method == "GET" or response.status_code >= BAD_REQUEST else set()
                if wrong(response) or (changed and not row.get("writes")):
                    bad.append((name, place, person, target[:60], response.status_code, changed))
    assert bad == []


def test_junk_in_every_cookie_gets_a_clear_answer(scene: tuple[World, Stage]) -> None:
    """The session's, the pre-session's, the device's and the hand-off's, alone and with good ones beside them."""
    world, stage = scene
    bad: list[tuple[object, ...]] = []
    writes = Writes(db.engine)
    for place, person in (("console", "omniadmin"), ("customer", "temporary"), ("customer", "anonymous")):
        for cookie in COOKIES:
            for value in COOKIE_VALUES:
                browser = stage.browser(world, place, person)
                host = "localhost" if place == "console" else "acme.localhost"
                browser.client.set_cookie(cookie, value, domain=host)
                for path in (
                    b"/",
                    b"/login",
                    b"/login/verify",
                    b"/account",
                    b"/login/return?code=a",
                    b"/welcome?key=a",
                ):
                    response = send(browser, "GET", path)
                    if wrong(response) or writes.taken():
                        bad.append((place, person, cookie, value[:20], path, response.status_code))
                browser.get("/login")
                body = Body("a form", f"csrf_token={browser.token}&email=a%40b.example&password=x&code=1".encode())
                for path in (b"/login/verify", b"/logout", b"/account"):
                    if (cookie, path) != (SESSION, b"/logout") and path == b"/logout":
                        continue
                    response = send(browser, "POST", path, body)
                    if wrong(response):
                        bad.append((place, person, cookie, value[:20], path, response.status_code))
                writes.taken()
    assert bad == []
