"""What tests of on-demand access look at: the whole database, the record, and how far a browser got."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import select

from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit import queries as audit_queries
from tempadmin.db import db
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.world import World, make_world
from tickets.models import AccessRequest
from tickets.portal import HAND_OFF_COOKIE
from tickets.states import State

ACME = "http://acme.localhost:8000"
ACME_HOST = "acme.localhost"
BEA = "bea@operator.example"
MASKED = {"last_seen_at"}

R = TypeVar("R")

OF_REMOVALS = {
    "access.product_told",
    "access.removal_failed",
    "access.leftover_found",
    "access.leftover_stays",
    "access.orphan_removed",
}
"""What may be recorded of an account that will not go."""


def database(world: World) -> Path:
    """The SQLite file."""
    return world.runtime.settings.data / "tempadmin.db"


def dump(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every row, but counters of limits (S02), read on a connection of its own; last-seen times are masked."""
    with db.engine.connect() as connection:
        return {
            table.name: [
                {column: value for column, value in row.items() if column not in MASKED}
                for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            ]
            for table in db.metadata.sorted_tables
            if table.name != "limit_counters"
        }


def events(request_id: int) -> list[str]:
    """The record of a request, oldest first."""
    db.session.rollback()
    return [event.event for event in audit_queries.of_request(request_id=request_id)]


def faults(world: World) -> list[object]:
    """What does not hold in any chain; none in a sound record."""
    db.session.rollback()
    ids = audit_queries.instance_ids()
    return [fault for one in ids for fault in audit_queries.verify(instance_id=one, runtime=world.runtime)]


def assert_gone(world: World, request_id: int, reason: str) -> None:
    """The access ended for this reason, nothing of the account is left, and the record is whole."""
    request = world.request(request_id)
    assert (request.state, request.end_reason) == (State.ENDED, reason)
    assert db.session.scalars(select(User).where(User.access_request_id == request_id)).all() == []
    assert db.session.scalars(select(LoginSession).where(LoginSession.access_request_id == request_id)).all() == []
    told = [event for event in events(request_id) if event not in OF_REMOVALS]
    assert told[-2:] == ["access.ending", "access.ended"], told
    assert faults(world) == []


def to_return(browser: Browser, link: str) -> str:
    """Follow a one-time link up to the address that would redeem it."""
    for _ in range(2):
        response = browser.get(link)
        assert response.status_code == 303, (browser.trail[-2:], browser.text)
        link = response.headers["Location"]
    return link


def code_in(url: str) -> str:
    """The code in the address that would redeem it."""
    return parse_qs(urlsplit(url).query)["code"][0]


def key_in(url: str) -> str:
    """The key in a link."""
    return parse_qs(urlsplit(url).query)["key"][0]


def with_cookie(world: World, base_url: str, name: str, value: str) -> Browser:
    """A new browser that holds one cookie for one host."""
    browser = world.browser(base_url)
    browser.client.set_cookie(name, value, domain=urlsplit(base_url).hostname or "")
    return browser


def thief(world: World, cookie: str, base_url: str = ACME) -> Browser:
    """A new browser that holds a copied session cookie."""
    return with_cookie(world, base_url, SESSION_COOKIE, cookie)


def assert_refused(browser: Browser, base_url: str = ACME) -> None:
    """Whatever this browser holds is served nothing, neither a page nor a change."""
    seen = browser.get(f"{base_url}/users")
    assert seen.status_code in (302, 404), browser.trail
    assert seen.headers.get("Location", "/login") == "/login"
    assert browser.post(f"{base_url}/users/invite", {"email": "x@y.example"}).status_code in (403, 404), browser.trail


@dataclass
class Inside:
    """An omniadmin at work in a support session."""

    ada: Browser
    request: AccessRequest
    cookie: str
    link: str


def go_inside(world: World, **form: str) -> Inside:
    """Walk the whole way in to acme; keep what a thief would like to have."""
    ada = world.signed_in()
    request = world.ask(ada, "acme", **form)
    link = world.confirm(ada)
    assert ada.get(link, follow=True).status_code == 200, ada.trail
    cookie = ada.cookie(SESSION_COOKIE, ACME_HOST)
    assert cookie is not None
    return Inside(ada=ada, request=world.request(request.id), cookie=cookie, link=link)


def hand_off_cookie(browser: Browser) -> str:
    """What the browser keeps between the two redirects."""
    value = browser.cookie(HAND_OFF_COOKIE, ACME_HOST)
    assert value is not None
    return value


@contextmanager
def workers(world: World, count: int) -> Iterator[list[World]]:
    """More applications on the same file and clock, as gunicorn would have them."""
    settings = world.runtime.settings
    made = [make_world(settings.data, clock=world.clock, database_url=settings.database_url) for _ in range(count)]
    yield made
    for one in made:
        with one.app.app_context():
            db.engine.dispose()


def at_once(calls: list[Callable[[], R]]) -> list[R]:
    """Make calls in threads that start at one barrier; return what each returned."""
    barrier = Barrier(len(calls), timeout=30)

    def run(call: Callable[[], R]) -> R:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
