"""Mail on every change, and on each access that somebody gained in one's name; enrolment links (S12, S23)."""

from __future__ import annotations

import re

import pytest

from tempadmin.accounts import invitations, notices, totp
from tempadmin.accounts.models import User
from tempadmin.accounts.omniadmins import reset_factor
from tempadmin.db import db, transaction
from tests.accounts.people import ACME, ADA, alive, first_factor, member, states, subjects
from tests.world import CONSOLE, PASSWORD, REASON, World


def enrol(world: World, url: str, password: str = PASSWORD) -> int:
    """Open an enrolment link in a browser of its own and prove a new device."""
    browser = world.browser()
    browser.get(url)
    seed, sealed = (
        re.search(sign, browser.page) for sign in (r'id="secret">([A-Z2-7 ]+)<', r'sealed"[^>]*e="([^"]+)"')
    )
    assert seed is not None
    assert sealed is not None
    code = totp.code_at(seed[1].replace(" ", ""), world.clock.now())
    return browser.post(url, {"password": password, "sealed": sealed[1], "code": code}).status_code


@pytest.fixture
def link(world: World) -> str:
    """A link that enrols a new device of Ada's."""
    world.omniadmin()
    home = world.default_instance()
    key = reset_factor(instance_id=home.id, email=ADA, runtime=world.runtime)
    return f"{CONSOLE}/welcome?key={key}"


def test_somebody_entered_in_your_name(world: World) -> None:
    """The requester hears at once where, why, from where and for how long, with the page that ends it."""
    world.omniadmin()
    world.instance("acme", "Acme Logistics")
    request = world.enter(world.signed_in())
    mail = world.mails()[-1]
    assert mail.startswith("Subject: Somebody entered Acme Logistics in your name\n")
    for said in (REASON, "127.0.0.1", "1 hour", f"{CONSOLE}/access/{request.public_id}", "HELP-1", "Ada Brandt"):
        assert said in mail
    assert subjects(world).count("Somebody entered Acme Logistics in your name") == 1


def test_a_way_in_that_fails_tells_nobody_that_somebody_entered(world: World) -> None:
    """The mail is queued in the transaction that lets somebody in, and only there."""
    world.omniadmin()
    world.instance("acme")
    ada = world.signed_in()
    world.ask(ada, "acme")
    link = world.confirm(ada)
    thief = world.browser()
    thief.get(link, follow=True)
    assert not [subject for subject in subjects(world) if "entered" in subject]


def test_s12_the_password_behind_an_enrolment_link_is_guessed_five_times(world: World, link: str) -> None:
    """Then even the right one waits; the pause lifted, it works."""
    assert [enrol(world, link, f"guess number {number}") for number in range(6)] == [400] * 5 + [429]
    assert enrol(world, link) == 429
    world.clock.advance(seconds=31)
    assert enrol(world, link) == 200


def test_s23_an_enrolment_ends_sessions_and_accesses_and_is_told(world: World, link: str) -> None:
    """Nothing of what the old device opened goes on."""
    world.instance("acme")
    ada = world.signed_in()
    world.enter(ada)
    assert enrol(world, link) == 200
    assert not alive(ada)
    assert not alive(ada, ACME)
    assert states(world) == [("ended", "credentials_changed")]
    assert subjects(world)[-1] == "Your second factor at Operator was changed"


def test_a_new_account_is_told_that_its_link_was_used(world: World) -> None:
    """Whoever was invited hears of it, should somebody else have found the link."""
    mia = member(world)
    with transaction():
        user = db.session.get_one(User, mia.id)
        key = invitations.invite(user=user, purpose="join", now=world.clock.now(), runtime=world.runtime)
    browser = world.browser(ACME)
    browser.get(f"/welcome?key={key}")
    form = {"password": PASSWORD, "password_again": PASSWORD}
    assert browser.post(f"/welcome?key={key}", form).status_code == 200
    assert subjects(world) == ["Your account at Acme is ready"]


@pytest.mark.parametrize("template", notices.ALL)
def test_every_mail_says_when_and_what_to_do(template: str, world: World) -> None:
    """One subject, the whole story first, the time with UTC, one link, and a way out for who did not do it."""
    mia = member(world)
    with transaction():
        user = db.session.get_one(User, mia.id)
        user.time_zone = "Europe/Oslo"
        notices.tell(template, user=user, at=world.clock.now(), runtime=world.runtime)
    (mail,) = world.mails()
    subject, _, body = mail.partition("\n\n")
    assert "Acme" in subject
    assert len(body.strip().splitlines()[0]) > 40
    assert "22 Nov 2026, 11:00 (22 Nov 2026, 10:00 UTC)" in body
    assert re.findall(r"https?://\S+", body) == [f"{ACME}/account"]
    assert "Was it not you?" in body
    assert "\n\n\n\n" not in body


def test_a_mail_server_on_a_bad_day_does_not_stop_the_sign_in(world: World) -> None:
    """What was changed stays changed; the mail waits and is sent later."""
    world.omniadmin()
    (world.runtime.settings.data / "mail").write_text("a file where the folder should be")
    world.instance("acme")
    browser = first_factor(world)
    browser.post("/login/verify", {"code": world.next_code()}, follow=True)
    assert alive(browser)
