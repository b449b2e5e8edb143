"""S07: no address with a secret leaks by a header, a cache or a log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.routing import Rule

from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.logs import redact
from tests.browser import Browser
from tests.conftest import Build
from tests.tickets.evidence import ACME, go_inside, thief
from tests.world import CONSOLE, World

HOSTS = (CONSOLE, ACME, "http://unknown.localhost:8000")
FILES = ("static", "bootstrap.static")
VALUES = {
    "web_id": "acme",
    "public_id": "no-such-request",
    "session_id": "0",
    "filename": "tempadmin.css",
    "name": "mail",
}


def address(rule: Rule) -> str:
    """An address that a rule answers."""
    path = rule.rule
    for name in rule.arguments:
        for form in (f"<{name}>", f"<int:{name}>", f"<path:{name}>"):
            path = path.replace(form, VALUES.get(name, "1"))
    assert "<" not in path, path
    return path


def answers(world: World, browser: Browser) -> list[tuple[str, Any]]:
    """What every route answers to every method on every host."""
    found = []
    for rule in world.app.url_map.iter_rules():
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            for host in HOSTS:
                response = browser.get(host + address(rule), method=method)
                found.append((f"{method} {host}{rule.rule} {response.status_code} {rule.endpoint}", response))
    return found


def test_s07_every_answer_hides_its_address_and_is_not_stored(build: Build) -> None:
    """Referrer-Policy on every answer of every route, host and method; no-store on all but static files."""
    world = build(rate_limits=False)
    world.omniadmin()
    world.instance("acme")
    inside = go_inside(world)
    browsers = (world.browser(), world.signed_in(), thief(world, inside.cookie))
    wrong = []
    for browser in browsers:
        for name, response in answers(world, browser):
            is_file = name.endswith(FILES) and response.status_code in (200, 304)
            if response.headers.get("Referrer-Policy") != "strict-origin":
                wrong.append(f"{name}: {response.headers.get('Referrer-Policy')}")
            if not is_file and response.headers.get("Cache-Control") != "no-store":
                wrong.append(f"{name}: {response.headers.get('Cache-Control')}")
    assert wrong == []


@pytest.mark.parametrize("path", ["/static/tempadmin.css", "/healthz"])
def test_s07_what_may_be_stored_or_has_no_reader_sets_no_cookie(world: World, acme: VirtualInstance, path: str) -> None:
    """A shared cache that keeps a file must not hand one person's cookie to the next."""
    response = world.browser(ACME).get(ACME + path)
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers


def test_s07_nothing_comes_after_a_failure_either(world: World, acme: VirtualInstance) -> None:
    """A database that does not answer gives 503 with Retry-After and the same headers, signed in or not."""
    ada = world.signed_in()
    with db.engine.connect().execution_options(write=True) as connection:
        connection.execute(text("ALTER TABLE users RENAME TO nobody"))
        connection.commit()
    for browser in (ada, world.browser()):
        for url in (f"{CONSOLE}/access", f"{CONSOLE}/access/confirm?key=x"):
            world.app.config["PROPAGATE_EXCEPTIONS"] = False
            response = browser.get(url)
            assert response.status_code in (503, 500, 302)  # a missing table is no outage to PostgreSQL, browser.trail
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Referrer-Policy"] == "strict-origin"


def test_s07_requests_are_logged_without_their_query(capfd: pytest.CaptureFixture[str], build: Build) -> None:
    """One line of JSON per request with method, host, path and status; never what stands after the question mark."""
    world = build()
    world.instance("acme")
    browser = world.browser(ACME)
    for path in ("/login/ticket?key=SECRET1", "/login/return?code=SECRET2", "/welcome?key=SECRET3"):
        browser.get(ACME + path)
    browser.get(f"{ACME}/login?next=SECRET4", Referer=f"{ACME}/login/ticket?key=SECRET5")
    browser.post(f"{ACME}/login", {"email": "x@y.example", "password": "SECRET6"})
    logged = capfd.readouterr().err
    lines = [json.loads(line) for line in logged.splitlines()]
    assert [line["path"] for line in lines] == ["/login/ticket", "/login/return", "/welcome", "/login", "/login"]
    assert all(line["request_id"] for line in lines)
    assert "SECRET" not in logged


@pytest.mark.parametrize(
    "said",
    [
        "GET /login/ticket?key=SECRET HTTP/1.1",
        "GET /login/return?code=SECRET",
        'opened "http://acme.localhost:8000/welcome?key=SECRET"',
        "/access/enter?request=abc&challenge=SECRET",
        "failed: password=SECRET&email=a",
    ],
)
def test_s07_secret_parameters_are_cut_out_of_whatever_is_logged(said: str) -> None:
    """Should a message hold an address after all, its key and code are gone before it is written."""
    for name in ("event", "url", "exception"):
        assert "SECRET" not in str(redact(None, "info", {name: said}))
