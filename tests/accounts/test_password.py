"""Changing the password: re-authentication, what ends with it, and the mail (S12, S14, S23)."""

from __future__ import annotations

import pytest

from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tests.accounts.people import (
    ACME,
    ADA,
    MIA,
    NEW_PASSWORD,
    alive,
    answer,
    gets_in,
    member,
    old_code,
    states,
    subjects,
)
from tests.browser import Browser
from tests.conftest import Build
from tests.world import CONSOLE, PASSWORD, World

PATH = "/account/password"


def form(**changes: str) -> dict[str, str]:
    return {"present": PASSWORD, "password": NEW_PASSWORD, "password_again": NEW_PASSWORD, **changes}


def test_s14_a_member_changes_the_password(world: World) -> None:
    """The present one is enough where there is no second factor; the old one opens nothing afterwards."""
    member(world)
    browser = world.signed_in(MIA, ACME)
    assert answer(browser, PATH, form()) == 303
    assert not gets_in(world, MIA, ACME)
    assert gets_in(world, MIA, ACME, password=NEW_PASSWORD)


def test_s14_an_omniadmin_gives_the_second_factor_too(world: World) -> None:
    """Without a code nothing changes; with a fresh one it does."""
    world.omniadmin()
    browser = world.signed_in()
    assert answer(browser, PATH, form()) == 400
    assert answer(browser, PATH, form(code="000000")) == 400
    assert answer(browser, PATH, form(code=old_code(world))) == 303
    assert gets_in(world, password=NEW_PASSWORD, code=old_code(world))


@pytest.mark.parametrize(
    "wrong",
    [
        {"present": "not the password"},
        {"password": "short", "password_again": "short"},
        {"password_again": "something else altogether"},
        {"password": PASSWORD, "password_again": PASSWORD},
        {"present": ""},
        {"password": "x" * 201, "password_again": "x" * 201},
    ],
)
def test_s14_what_cannot_be_taken_changes_nothing(wrong: dict[str, str], world: World) -> None:
    """The page says what is wrong, and the old password, the sessions and the mailbox stay as they were."""
    member(world)
    browser, other = world.signed_in(MIA, ACME), world.signed_in(MIA, ACME)
    assert answer(browser, PATH, form(**wrong)) == 400
    assert "did not go through" in browser.text
    assert gets_in(world, MIA, ACME)
    assert alive(other, ACME)
    assert subjects(world) == []


def test_s14_a_wrong_present_password_uses_no_code_up(world: World) -> None:
    """The second factor is looked at only after the password was right."""
    world.omniadmin()
    browser = world.signed_in()
    code = old_code(world)
    assert answer(browser, PATH, form(present="not the password", code=code)) == 400
    assert answer(browser, PATH, form(code=code)) == 303


def test_s23_a_new_password_ends_other_sessions_and_open_accesses(world: World) -> None:
    """The session that did it goes on; every other one, and what was opened at a customer's, ends at once."""
    world.omniadmin()
    world.instance("acme")
    ada, elsewhere = world.signed_in(), world.signed_in()
    world.enter(ada)
    assert alive(ada, ACME)
    assert answer(ada, CONSOLE + PATH, form(code=old_code(world))) == 303
    assert alive(ada)
    assert not alive(elsewhere)
    assert not alive(ada, ACME)
    assert states(world) == [("ended", "credentials_changed")]


def test_s23_another_persons_sessions_and_accesses_stay(world: World) -> None:
    """Ben is not disturbed by Ada's new password."""
    world.omniadmin()
    world.omniadmin("ben@operator.example", "Ben Ito")
    world.instance("acme")
    ben = world.signed_in("ben@operator.example")
    world.enter(ben)
    assert answer(world.signed_in(), PATH, form(code=old_code(world))) == 303
    assert alive(ben)
    assert alive(ben, ACME)


def test_s14_the_change_is_told_by_mail_and_in_the_record(world: World) -> None:
    """The mail names the place, the device and what to do if it was somebody else."""
    member(world)
    browser = world.signed_in(MIA, ACME)
    browser.client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
    assert answer(browser, PATH, form()) == 303
    (mail,) = world.mails()
    assert mail.startswith("Subject: Your password at Acme was changed\n")
    assert "127.0.0.1" in mail
    assert "ask an administrator of Acme" in mail
    assert NEW_PASSWORD not in mail
    event = db.session.query(AuditEvent).filter_by(event="account.password_changed").one()
    assert event.actor_name == "Mia"


def guesses(browser: Browser, count: int = 6) -> list[int]:
    return [answer(browser, PATH, form(present=f"guess number {number}")) for number in range(count)]


def test_s12_the_present_password_cannot_be_guessed_in_an_open_session(world: World) -> None:
    """Five wrong ones start the pause, over all of the person's sessions, and the right one waits for its end too."""
    member(world)
    browser, other = world.signed_in(MIA, ACME), world.signed_in(MIA, ACME)
    assert guesses(browser) == [400] * 5 + [429]
    assert answer(other, PATH, form()) == 429
    world.clock.advance(seconds=31)
    assert answer(other, PATH, form()) == 303


def test_s12_the_answer_says_when_to_try_again(build: Build) -> None:
    """With Retry-After, in seconds."""
    world = build(rate_limits=False)
    member(world)
    browser = world.signed_in(MIA, ACME)
    guesses(browser, 5)
    browser.get(PATH)
    response = browser.post(PATH, form())
    assert 1 <= int(response.headers["Retry-After"]) <= 31


def test_s12_guessing_there_locks_no_sign_in_out(world: World) -> None:
    """Whoever sits at an open session cannot keep its owner from signing in elsewhere."""
    member(world)
    guesses(world.signed_in(MIA, ACME))
    assert gets_in(world, MIA, ACME)


def test_a_sign_in_that_began_with_the_old_password_ends(world: World) -> None:
    """The first factor was given before the change; the second one does not complete it."""
    world.omniadmin()
    waiting = world.browser()
    waiting.get("/login")
    waiting.post("/login", {"email": ADA, "password": PASSWORD}, follow=True)
    assert answer(world.signed_in(), PATH, form(code=old_code(world))) == 303
    assert waiting.post("/login/verify", {"code": old_code(world)}).status_code == 403
    assert not alive(waiting)
