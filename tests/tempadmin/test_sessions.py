"""A cookie is an opaque id: a new one each time somebody becomes somebody, worthless after its end (S20, S21, S22)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from tempadmin.accounts.models import LoginSession, User
from tempadmin.accounts.sessions import open_session
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tests.browser import Browser
from tests.tempadmin.stage import ACME, SESSION_COOKIE
from tests.world import CONSOLE, PASSWORD, World

ADA = "ada@operator.example"


def replayed(world: World, secret: str | None, base: str = CONSOLE) -> int:
    """What the start page answers a browser that holds nothing but this cookie."""
    browser = world.browser(base)
    browser.client.set_cookie(SESSION_COOKIE, secret or "", domain=base[7:].partition(":")[0])
    return browser.get("/").status_code


def session_of(browser: Browser, host: str = "localhost") -> str:
    return browser.cookie(SESSION_COOKIE, host) or ""


def test_s20_a_saved_cookie_is_worthless_after_sign_out(world: World) -> None:
    """Signing out ends the row, not only the browser's copy."""
    world.omniadmin()
    browser = world.signed_in()
    saved = session_of(browser)
    assert replayed(world, saved) == 200
    browser.get("/logout")
    browser.post("/logout")
    assert session_of(browser) == ""
    assert replayed(world, saved) == 302


def test_s20_signing_out_ends_this_session_only(world: World) -> None:
    """Another browser of the same person stays signed in."""
    world.omniadmin()
    first, second = world.signed_in(), world.signed_in()
    first.get("/logout")
    first.post("/logout")
    assert second.get(CONSOLE + "/").status_code == 200


def test_s20_a_saved_cookie_is_worthless_after_leaving(world: World) -> None:
    """Nor does the cookie of a support session open anything after its end."""
    world.omniadmin()
    world.instance("acme")
    ada = world.signed_in()
    world.enter(ada, "acme")
    saved = session_of(ada, "acme.localhost")
    assert replayed(world, saved, ACME) == 200
    ada.post(ACME + "/support-session/leave", follow=True)
    assert replayed(world, saved, ACME) == 302


def test_s20_a_session_ends_at_its_idle_limit(world: World) -> None:
    """An hour without a click ends it: at the hour, and not before."""
    world.omniadmin()
    browser = world.signed_in()
    world.clock.advance(hours=1, seconds=-1)
    assert browser.get("/").status_code == 200
    world.clock.advance(hours=1)
    assert browser.get("/").status_code == 302


def test_s20_a_session_ends_at_its_time_limit(world: World) -> None:
    """Twelve hours after the sign-in it is over, however busy it was."""
    world.omniadmin()
    browser = world.signed_in()
    end = world.clock.now() + timedelta(hours=12)
    for _ in range(14):
        world.clock.advance(minutes=50)
        assert browser.get("/").status_code == 200
    world.clock.time = end - timedelta(seconds=1)
    assert browser.get("/").status_code == 200
    world.clock.time = end
    assert browser.get("/").status_code == 302


def test_s20_no_other_cookie_is_a_session(world: World) -> None:
    """Neither the row's id, nor its digest, nor the user's id, nor an empty cookie opens anything."""
    ada = world.omniadmin()
    world.signed_in()
    row = db.session.scalars(select(LoginSession)).one()
    for value in (str(row.id), row.digest, str(ada.id), "", "x" * 3000, "support."):
        assert replayed(world, value) == 302


def test_s20_a_cookie_of_one_host_is_none_on_another(world: World) -> None:
    """The console's cookie opens nothing at a customer's, nor the other way round."""
    world.omniadmin()
    acme = world.instance("acme")
    world.administrator(acme, "admin@acme.example")
    console = session_of(world.signed_in())
    customer = session_of(world.signed_in("admin@acme.example", ACME), "acme.localhost")
    assert replayed(world, console, ACME) == 302
    assert replayed(world, customer, CONSOLE) == 302


def test_s21_every_step_has_a_new_id(world: World) -> None:
    """No session before both factors; a fresh one at each sign-in; the pre-session's secret does not survive it."""
    world.omniadmin()
    browser = world.browser()
    browser.get("/login")
    anonymous = browser.cookie("tempadmin_pre", "localhost")
    browser.post("/login", {"email": ADA, "password": PASSWORD}, follow=True)
    assert session_of(browser) == ""
    waiting = browser.cookie("tempadmin_pre", "localhost")
    assert waiting != anonymous
    browser.post("/login/verify", {"code": world.next_code()}, follow=True)
    first = session_of(browser)
    assert len(first) >= 43
    assert browser.cookie("tempadmin_pre", "localhost") not in (anonymous, waiting)
    browser.get("/login")
    browser.post("/login", {"email": ADA, "password": PASSWORD}, follow=True)
    browser.post("/login/verify", {"code": world.next_code()}, follow=True)
    assert session_of(browser) not in ("", first)


def test_s21_a_planted_cookie_is_not_taken_over(world: World) -> None:
    """A session id that somebody put into the browser before the sign-in is not the one that is signed in."""
    world.omniadmin()
    browser = world.browser()
    browser.client.set_cookie(SESSION_COOKIE, "planted", domain="localhost")
    browser.get("/login")
    browser.post("/login", {"email": ADA, "password": PASSWORD}, follow=True)
    browser.post("/login/verify", {"code": world.next_code()}, follow=True)
    assert session_of(browser) != "planted"
    assert replayed(world, "planted") == 302


def test_s21_entering_gives_a_new_id_and_ends_what_was_there(world: World) -> None:
    """At redemption an ordinary session of this browser on that host is replaced, and dead; leaving takes the new."""
    world.omniadmin()
    acme = world.instance("acme")
    world.administrator(acme, "admin@acme.example")
    ada = world.signed_in()
    before = session_of(world.signed_in("admin@acme.example", ACME), "acme.localhost")
    ada.client.set_cookie(SESSION_COOKIE, before, domain="acme.localhost")
    console = session_of(ada)
    world.enter(ada, "acme")
    inside = session_of(ada, "acme.localhost")
    assert len({before, inside, console}) == 3
    assert replayed(world, before, ACME) == 302
    ada.post(ACME + "/support-session/leave", follow=True)
    assert session_of(ada, "acme.localhost") == ""
    assert session_of(ada) == console
    assert ada.get(CONSOLE + "/").status_code == 200


def test_s22_an_access_request_gives_one_session_ever(world: World) -> None:
    """The database itself refuses a second one, also after the first has ended."""
    ada = world.omniadmin()
    world.instance("acme")
    request = world.enter(world.signed_in(), "acme")
    request_id, subject_id, actor = request.id, request.subject_id, Actor(id=ada.id, name=ada.full_name)

    def again() -> None:
        with transaction():
            open_session(
                user=db.session.get_one(User, subject_id),
                actor=actor,
                now=world.clock.now(),
                lifetime=world.runtime.settings.max_duration,
                idle=world.runtime.settings.idle_timeout,
                runtime=world.runtime,
                access_request_id=request_id,
            )

    with pytest.raises(IntegrityError):
        again()
    with transaction() as session:
        session.execute(update(LoginSession).values(ended_at=world.clock.now(), end_reason="test"))
    with pytest.raises(IntegrityError):
        again()


@pytest.mark.parametrize("value", ["", "x", "1|x", "a|b", "1|" + "0" * 128])
def test_s20_a_cookie_that_flask_login_knows_keeps_nobody_out(world: World, value: str) -> None:
    """A sibling host can plant ``remember_token``; it makes nobody of a stranger, and its owner's session goes on."""
    world.omniadmin()
    stranger, ada = world.browser(), world.signed_in()
    for browser, status in ((stranger, 302), (ada, 200)):
        browser.client.set_cookie("remember_token", value, domain="localhost")
        assert browser.get(CONSOLE + "/").status_code == status
