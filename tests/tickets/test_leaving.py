"""S24: leaving a support session makes nobody of a browser, whatever it brings along."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts.models import LoginSession
from tempadmin.db import db
from tempadmin.web.security import DEVICE_COOKIE, PRE_SESSION_COOKIE, SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import ACME, ACME_HOST, assert_gone, assert_refused, hand_off_cookie, to_return
from tests.world import CONSOLE, World
from tickets.portal import HAND_OFF_COOKIE

BOSS = "boss@acme.example"
FIELDS = ("user", "user_id", "actor", "actor_id", "session", "session_id", "restore", "identity", "role", "as")
TARGETS = ("next", "return_to", "url", "redirect", "target")


@pytest.fixture
def cookies(world: World, acme: VirtualInstance) -> dict[str, str]:
    """Cookies of other identities, all of them alive somewhere, and the hand-off's of this very way in."""
    world.administrator(acme, BOSS)
    boss, ben = world.signed_in(BOSS, ACME), world.omniadmin("ben@operator.example", "Ben Ito")
    other = world.signed_in(ben.email)
    return {
        "boss": boss.cookie(SESSION_COOKIE, ACME_HOST) or "",
        "boss's device": boss.cookie(DEVICE_COOKIE, ACME_HOST) or "",
        "boss's pre-session": boss.cookie(PRE_SESSION_COOKIE, ACME_HOST) or "",
        "ben": other.cookie(SESSION_COOKIE, "localhost") or "",
    }


def inside(world: World) -> tuple[Browser, int, dict[str, str]]:
    """Ada inside, and what her browser held on the way."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    back = to_return(ada, world.confirm(ada))
    held = {"hand-off": hand_off_cookie(ada), "console": ada.cookie(SESSION_COOKIE, "localhost") or ""}
    assert ada.get(back, follow=True).status_code == 200
    held["support"] = ada.cookie(SESSION_COOKIE, ACME_HOST) or ""
    return ada, request.id, held


def assert_nobody(world: World, browser: Browser, request_id: int, sessions: int) -> None:
    """The browser is signed in nowhere on this host, and no session was made."""
    assert_refused(browser)
    assert browser.get(f"{ACME}/").status_code == 302
    db.session.rollback()
    assert len(db.session.scalars(select(LoginSession.id)).all()) <= sessions
    assert_gone(world, request_id, "logout")


def test_s24_no_form_field_names_who_one_is_afterwards(world: World, acme: VirtualInstance) -> None:
    """Ids, names, roles and addresses to go to, sent along with the banner's button, are not read."""
    boss_id = world.administrator(acme, BOSS).id
    ada, request_id, held = inside(world)
    forged = dict.fromkeys(FIELDS, str(boss_id)) | dict.fromkeys(TARGETS, "https://evil.example/")
    ada.get(f"{ACME}/users")
    answer = ada.post(f"{ACME}/support-session/leave", {**forged, "cookie": held["console"]})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/left")
    given = [line for line in answer.headers.getlist("Set-Cookie") if not line.startswith(f"{SESSION_COOKIE}=;")]
    assert [line for line in given if line.startswith(SESSION_COOKIE)] == []
    assert_nobody(world, ada, request_id, sessions=2)


@pytest.mark.parametrize(
    "name", [HAND_OFF_COOKIE, DEVICE_COOKIE, PRE_SESSION_COOKIE, "original_session", "remember_token"]
)
def test_s24_no_other_cookie_makes_somebody_of_the_browser(
    world: World, acme: VirtualInstance, cookies: dict[str, str], name: str
) -> None:
    """Whichever secret stands in whichever cookie while one leaves."""
    ada, request_id, held = inside(world)
    ada.get(f"{ACME}/users")
    token = ada.token
    values = [
        "1|x",
        *cookies.values(),
        *held.values(),
        "support." + held["console"],
        held["support"].removeprefix("support."),
    ]
    ada.client.set_cookie(name, values[0], domain=ACME_HOST)
    assert ada.post(f"{ACME}/support-session/leave", token=token).status_code == 303
    for value in values:
        ada.client.set_cookie(name, value, domain=ACME_HOST)
        assert_nobody(world, ada, request_id, sessions=5)


def test_s24_what_the_support_session_took_the_place_of_does_not_come_back(
    world: World, acme: VirtualInstance, cookies: dict[str, str]
) -> None:
    """An administrator's session that lived in this browser ended at the entry, and stays ended."""
    ada = world.signed_in()
    ada.client.set_cookie(SESSION_COOKIE, cookies["boss"], domain=ACME_HOST)
    request = world.enter(ada)
    support = ada.cookie(SESSION_COOKIE, ACME_HOST)
    ada.post(f"{ACME}/support-session/leave", follow=True)
    for value in (cookies["boss"], support or "", cookies["ben"]):
        ada.client.set_cookie(SESSION_COOKIE, value, domain=ACME_HOST)
        assert_nobody(world, ada, request.id, sessions=5)


@pytest.mark.parametrize("secret", ["console", "support.", "truncated", "doubled"])
def test_s24_a_tampered_session_cookie_cannot_leave_or_stay(world: World, acme: VirtualInstance, secret: str) -> None:
    """With another secret in the session's own cookie nobody leaves for Ada, and nobody is Ada."""
    ada, request_id, held = inside(world)
    support = held["support"]
    forged = {"console": held["console"], "support.": "support.", "truncated": support[:-1], "doubled": support * 2}
    browser = world.browser(ACME)
    browser.client.set_cookie(SESSION_COOKIE, forged[secret], domain=urlsplit(ACME).hostname or "")
    browser.get(f"{ACME}/login")
    assert browser.post(f"{ACME}/support-session/leave").status_code == 403
    assert_refused(browser)
    assert world.request(request_id).state == "active"
    assert ada.get(f"{CONSOLE}/access").status_code == 200
