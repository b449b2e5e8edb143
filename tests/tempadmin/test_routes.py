"""Default deny: every route, for every kind of person, in both places, against the table in routes.toml (S30)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.browser import REDIRECTS, Browser
from tests.tempadmin.conftest import Play
from tests.tempadmin.stage import NOBODIES, PEOPLE, Stage, everything
from tests.world import CONSOLE, World

pytestmark = pytest.mark.only_sqlite  # who may see a page does not depend on the database, and there are many

TABLE: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "routes.toml").read_text("utf-8"))
PLACES = ("console", "customer")
REFUSALS = ("login", 403, 404)


def routes(app: Flask) -> set[str]:
    """Every route that the application has, as the table names them."""
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def asked(browser: Browser, name: str, stage: Stage) -> int | str:
    """Ask as this browser; what the table calls the answer."""
    row, (method, rule) = TABLE[name], name.split(" ")
    url = row.get("open", rule).format(**stage.words)
    if method != "POST":
        return outcome(browser.get(url))
    browser.get("/login")
    return outcome(browser.post(url, row.get("form", {})))


def outcome(response: TestResponse) -> int | str:
    """What the table calls an answer."""
    if response.status_code not in REDIRECTS:
        return response.status_code
    return "login" if response.headers["Location"].endswith("/login") else "on"


def test_s30_every_route_is_in_the_table(world: World) -> None:
    """A route that nobody decided about fails here, and so does a decision about no route."""
    assert routes(world.app) ^ set(TABLE) == set()


def test_s30_every_line_of_the_table_speaks_of_everybody() -> None:
    """No person is forgotten in any place."""
    assert {name for name, row in TABLE.items() for place in PLACES if len(row[place]) != len(PEOPLE)} == set()


@pytest.mark.parametrize("name", TABLE)
def test_s30_everybody_gets_what_the_table_says(name: str, stage: Stage, play: Play) -> None:
    """Each person in each place gets the stated answer, and a refusal leaves the database as it was."""
    row, (method, rule) = TABLE[name], name.split(" ")
    wrong: dict[tuple[str, ...], int | str] = {}
    world = play()
    before = untouched = everything(world)
    for place in PLACES:
        for person, expected in zip(PEOPLE, row[place], strict=True):
            got = asked(stage.browser(world, place, person), name, stage)
            if got != expected:
                wrong[place, person] = got
            changed = everything(world) != before
            if changed and (expected in REFUSALS or (method == "GET" and not row.get("writes"))) and rule != "/logout":
                wrong[place, person, "changed the database"] = got
            if changed:
                world, before = play(), untouched
    assert wrong == {}


# What /login answers does not depend on who sends it, and it would soon say that there were too many tries.
@pytest.mark.parametrize("name", [name for name in TABLE if name != "POST /login"])
def test_s30_whoever_is_nobody_any_more_gets_what_nobody_gets(name: str, stage: Stage, play: Play) -> None:
    """A session without the second factor, one that has ended, and every cookie on another customer's host."""
    row, world = TABLE[name], play()
    before = everything(world)
    wrong: dict[tuple[str, ...], int | str] = {}
    for place, people in ({"console": NOBODIES, "customer": NOBODIES, "elsewhere": (*PEOPLE, *NOBODIES)}).items():
        expected = row["customer" if place == "elsewhere" else place][0]
        for person in people:
            got = asked(stage.browser(world, place, person), name, stage)
            if got != (row.get("elsewhere", expected) if place == "elsewhere" else expected):
                wrong[place, person] = got
    assert wrong == {}
    assert everything(world) == before


@pytest.mark.parametrize("name", [name for name in TABLE if name.startswith("GET ")])
def test_s30_head_opens_no_more_than_get(name: str, stage: Stage, play: Play) -> None:
    """Flask answers HEAD on every GET route: whoever is refused with GET is refused with HEAD, and nothing changes."""
    row, rule = TABLE[name], name.removeprefix("GET ")
    url = row.get("open", rule).format(**stage.words)
    world = play()
    before, wrong = everything(world), {}
    for place in PLACES:
        for person, expected in zip(PEOPLE, row[place], strict=True):
            got = outcome(stage.browser(world, place, person).get(url, method="HEAD"))
            if got != expected and not (row.get("writes") and got == 405):
                wrong[place, person] = got
    assert wrong == {}
    assert everything(world) == before


def test_s30_a_view_that_says_nothing_is_seen_by_nobody(world: World) -> None:
    """A route without a rule answers 404 to everybody, the omniadmin included."""
    world.app.add_url_rule("/forgotten", "forgotten", lambda: "secret")
    world.omniadmin()
    for browser in (world.browser(), world.signed_in()):
        assert browser.get(CONSOLE + "/forgotten").status_code == 404


def test_s30_methods_that_no_route_takes_are_refused(stage: Stage, play: Play) -> None:
    """PUT, PATCH, DELETE and unknown methods find nothing, whoever sends them."""
    world = play()
    before = everything(world)
    browser = stage.browser(world, "console", "omniadmin")
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
        assert browser.get("/instances", method=method).status_code in (403, 404, 405), method
    assert everything(world) == before
