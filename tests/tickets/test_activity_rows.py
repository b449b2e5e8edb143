"""S53: what a row of activity holds, what it never holds, and what happens when it cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context
from threading import Event

from sqlalchemy import text

from tempadmin.accounts.models import ADMINISTRATOR, MEMBER
from tempadmin.db import db
from tempadmin.web.guard import allow
from tempadmin.web.security import SESSION_COOKIE
from tests.conftest import Build
from tests.tickets.evidence import ACME, ACME_HOST, at_once, dump, events, thief, workers
from tests.tickets.watched import BOSS, both_kinds, enter, people
from tests.world import World
from tickets.models import TEMPORARY_ADMIN
from tickets.states import State

SECRET = "s3cret-that-nobody-may-read"
ODD = {
    "/us\0ers": "/us\N{REPLACEMENT CHARACTER}ers",
    "/\0": "/\N{REPLACEMENT CHARACTER}",
    "/\N{LATIN SMALL LETTER O WITH STROKE}": "/\N{LATIN SMALL LETTER O WITH STROKE}",
    "/=cmd|' /C calc'!A0": "/=cmd|' /C calc'!A0",
    "/<script>": "/<script>",
    "/%0d%0aSet-Cookie: a=b": "/\r\nSet-Cookie: a=b",
    "/\N{RIGHT-TO-LEFT OVERRIDE}gpj": "/\N{RIGHT-TO-LEFT OVERRIDE}gpj",
    "/" + "\N{JAPANESE OGRE}" * 600: "/" + "\N{JAPANESE OGRE}" * 499,
    "/" + "a" * 20_000: "/" + "a" * 499,
}


@contextmanager
def unwritable() -> Iterator[None]:
    """Nothing can be written of any visit for as long as this lasts."""
    rename(("activity", "away"))
    yield
    rename(("away", "activity"))


def rename(names: tuple[str, str]) -> None:
    db.session.rollback()
    with db.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {names[0]} RENAME TO {names[1]}"))


def test_s53_neither_query_nor_form_nor_secret_is_stored(world: World) -> None:
    """A path and nothing behind it; not what was typed, no cookie, no key."""
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    ada = inside.ada
    for path in (f"/users?q={SECRET}", f"/nowhere?{SECRET}", f"/support-access?page={SECRET}#{SECRET}"):
        ada.get(ACME + path)
    ada.get(ACME + "/users/invite")
    for path in ("/users/invite", "/settings", f"/account/password?{SECRET}", "/nowhere", "/support-session/leave"):
        ada.post(ACME + path, dict.fromkeys(("full_name", "email", "name", "password", SECRET), SECRET))
    assert len(inside.rows()) == 10
    kept = str(dump(world)["activity"])
    cookie = ada.cookie(SESSION_COOKIE, ACME_HOST) or ada.token
    assert [secret for secret in (SECRET, cookie, ada.token, "?", "#") if secret and secret in kept] == []


@both_kinds
def test_s53_odd_addresses_are_written_as_far_as_they_can_be(world: World, kind: str) -> None:
    """NUL, other scripts, half characters and endless paths: 404 and a row on both databases, never 503."""
    people(world)
    inside = enter(world, kind)
    for path, stored in ODD.items():
        answer = Context().run(inside.ada.client.open, path, base_url=ACME)
        assert (answer.status_code, inside.last().path) == (404, stored), path
    for raw in ("/%ed%a0%80", "/%ff%fe", "/%c3", "/users/%00", "/static%00"):
        assert inside.ada.get(ACME + raw).status_code == 404, raw
        assert inside.last().status == 404
    assert inside.ada.get(ACME + "/users?q=%00").status_code == 400
    assert inside.last().status == 400
    assert inside.ada.get(ACME + "/users", method="PROPFINDPROPFIND").status_code == 404
    assert inside.last().method == "PROPFINDPR"
    assert inside.counted() == len(inside.rows()) == 1 + len(ODD) + 7


@both_kinds
def test_s53_no_row_no_page(world: World, kind: str) -> None:
    """Who only reads gets 503 and nothing of the page; a change keeps its answer, and stands in the audit chain."""
    people(world)
    inside = enter(world, kind)
    ada = inside.ada
    ada.get(ACME + "/users/invite")
    before = inside.counted()
    with unwritable():
        for method in ("GET", "HEAD", "OPTIONS"):
            refused = ada.get(ACME + "/users", method=method)
            assert (refused.status_code, refused.headers["Cache-Control"]) == (503, "no-store")
            assert int(refused.headers["Retry-After"]) > 0
        assert "Mia Lund" not in ada.get(ACME + "/users").get_data(as_text=True)
    ada.get(ACME + "/users/invite")
    token = ada.token
    with unwritable():
        assert ada.post(ACME + "/users/invite", {"full_name": "Mia Lund", "email": ""}, token=token).status_code == 503
        form = {"full_name": "Kai Berg", "email": "kai@acme.example", "role": "member"}
        assert ada.post(ACME + "/users/invite", form, token=token).status_code == 303
    assert events(inside.request_id)[-1] == "user.invited"
    assert inside.counted() == len(inside.rows()) == before + 1
    assert ada.get(ACME + "/users").status_code == 200
    assert "Kai Berg" in ada.text


def test_s53_a_request_in_flight_when_its_access_ends_is_written(world: World) -> None:
    """It was let in, so it is told; and the next one is not let in."""
    begun, go_on = Event(), Event()

    @allow(MEMBER, ADMINISTRATOR, place="customer", support=True)
    def slow() -> str:
        begun.set()
        assert go_on.wait(20)
        return "done"

    world.app.add_url_rule("/slow", "slow", slow)
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    boss = world.signed_in(BOSS, ACME)
    boss.get(ACME + "/support-access")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: inside.ada.get(ACME + "/slow").status_code)
        assert begun.wait(20)
        assert boss.post(inside.page + "/end").status_code == 303
        assert inside.told()[-1] == ("GET", "/", 200)
        go_on.set()
        assert answer.result(20) == 200
    assert world.request(inside.request_id).state == State.ENDED
    assert inside.told()[1:] == [("GET", "/slow", 200)]
    assert inside.counted() == 2
    assert inside.ada.get(ACME + "/slow").status_code == 302
    assert inside.counted() == 2


def test_s53_requests_at_once_are_all_counted(build: Build) -> None:
    """Sixteen at once over two workers, some refused, some unknown: as many rows, and the same number."""
    world = build()
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    cookie = inside.ada.cookie(SESSION_COOKIE, ACME_HOST) or ""
    paths = ["/users", "/nowhere", "/account", "/settings"] * 4
    with workers(world, 2) as others:
        browsers = [thief(others[number % 2], cookie) for number in range(len(paths))]
        pairs = zip(browsers, paths, strict=True)
        got = at_once([lambda one=one, path=path: one.get(ACME + path).status_code for one, path in pairs])  # type: ignore[misc]
    assert got == [200, 404, 403, 200] * 4
    assert inside.counted() == len(inside.rows()) == 1 + len(paths)
