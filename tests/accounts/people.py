"""What the tests of one's own account share: a customer's member, forms filled in, and who can still get in."""

from __future__ import annotations

import re

from sqlalchemy import select

from tempadmin.accounts import totp
from tempadmin.accounts.models import LoginSession, User
from tempadmin.db import db
from tests.browser import Browser
from tests.world import CONSOLE, PASSWORD, SEED, World
from tickets.models import AccessRequest

ACME = "http://acme.localhost:8000"
ADA = "ada@operator.example"
MIA = "mia@acme.example"
NEW_PASSWORD = "quite another good sentence"


def member(world: World) -> User:
    """Acme, with one member."""
    return world.user(world.instance("acme"), MIA)


def answer(browser: Browser, path: str, form: dict[str, str]) -> int:
    """Open one of the account's pages on this browser's host, send its form; return the status."""
    browser.get(path)
    sealed = re.search(r'name="sealed"[^>]*value="([^"]+)"', browser.page)
    return browser.post(path, {**({"sealed": sealed[1]} if sealed else {}), **form}).status_code


def shown_seed(browser: Browser, path: str = "/account/second-factor") -> str:
    """The seed of the picture on the page; the next form must be sent without opening it again."""
    browser.get(path)
    found = re.search(r'id="secret">([A-Z2-7 ]+)<', browser.page)
    assert found is not None, browser.text
    return found[1].replace(" ", "")


def send_device(world: World, browser: Browser, seed: str, form: dict[str, str], *, code: str | None = None) -> int:
    """Send the form that the page with the picture shows, proven by the new device's code."""
    sealed = re.search(r'name="sealed"[^>]*value="([^"]+)"', browser.page)
    assert sealed is not None
    new_code = totp.code_at(seed, world.clock.now()) if code is None else code
    sent = {"sealed": sealed[1], "new_code": new_code, **form}
    return browser.post("/account/second-factor", sent).status_code


def add_factor(world: World, browser: Browser) -> str:
    """Turn the second factor on; return the new device's seed."""
    seed = shown_seed(browser)
    assert send_device(world, browser, seed, {"password": PASSWORD}) == 200, browser.text
    return seed


def codes_on(browser: Browser) -> list[str]:
    """The recovery codes that the page shows."""
    return re.findall(r"<li>((?:[a-z2-9]{7}-){3}[a-z2-9]{7})</li>", browser.page)


def first_factor(world: World, address: str = ADA, base: str = CONSOLE, *, password: str = PASSWORD) -> Browser:
    """A new browser in which the password was given."""
    browser = world.browser(base)
    browser.get("/login")
    browser.post("/login", {"email": address, "password": password}, follow=True)
    return browser


def gets_in(world: World, address: str = ADA, base: str = CONSOLE, *, password: str = PASSWORD, code: str = "") -> bool:
    """Whether a new browser can sign in with these."""
    browser = first_factor(world, address, base, password=password)
    if code and browser.url.endswith("/login/verify"):
        browser.post("/login/verify", {"code": code}, follow=True)
    return browser.get("/").status_code == 200


def old_code(world: World) -> str:
    """A code of the device that every omniadmin has at first, not used yet."""
    world.clock.advance(seconds=30)
    return totp.code_at(SEED, world.clock.now())


def alive(browser: Browser, base: str = CONSOLE) -> bool:
    """Whether the browser's session there may still act."""
    return browser.get(base + "/").status_code == 200


def states(world: World) -> list[tuple[str, str | None]]:
    """All requests' states and end reasons."""
    db.session.rollback()
    rows = db.session.execute(select(AccessRequest.state, AccessRequest.end_reason).order_by(AccessRequest.id))
    return [(str(state), reason) for state, reason in rows]


def sessions_of(user: User) -> list[LoginSession]:
    """A person's sessions that were not ended, oldest first."""
    db.session.rollback()
    rows = select(LoginSession).where(LoginSession.user_id == user.id, LoginSession.ended_at.is_(None))
    return list(db.session.scalars(rows.order_by(LoginSession.id)))


def subjects(world: World) -> list[str]:
    """The subjects of all mails, oldest first."""
    return [mail.splitlines()[0].removeprefix("Subject: ") for mail in world.mails()]
