"""Signing in: the same for everybody until both factors are right, and slower after wrong answers (S11, S12, S42)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from tempadmin.accounts import totp
from tempadmin.accounts.models import User
from tempadmin.accounts.passwords import hash_password
from tempadmin.db import transaction
from tests.browser import Browser
from tests.world import PASSWORD, SEED, World

ADA, BEN = "ada@operator.example", "ben@operator.example"
NOW = datetime(2026, 11, 22, 10, 0, 5, tzinfo=UTC)
DIGITS = st.sampled_from("0123456789０１２３４５６７８９٠١٢٣٤٥٦٧٨٩०१२३४५६७८९²³①𝟎𝟏𝟐 \n\t\x00+-.eE")


def try_password(browser: Browser, address: str, password: str) -> int:
    browser.get("/login")
    return browser.post("/login", {"email": address, "password": password}).status_code


def at_second_factor(world: World, address: str) -> Browser:
    """A browser in which the right password was given."""
    browser = world.browser()
    assert try_password(browser, address, PASSWORD) == 303
    return browser


def try_code(browser: Browser, code: str) -> int:
    browser.get("/login/verify")
    return browser.post("/login/verify", {"code": code}).status_code


def wrong_code(world: World) -> str:
    right = {totp.code_at(SEED, world.clock.now())}
    return next(code for code in ("000000", "000001") if code not in right)


@given(st.text(DIGITS, min_size=1, max_size=8) | st.text(max_size=12))
def test_s11_a_code_is_six_ascii_digits(text: str) -> None:
    """Whatever other sign passes for a digit somewhere: only 0 to 9, six of them, and nothing else, is looked at."""
    is_code = len(text) == 6 and all(sign in "0123456789" for sign in text)
    assert totp.looks_like_code(text) == is_code
    assert totp.matching_step(SEED, text, NOW) is None or is_code


@pytest.mark.parametrize("zero", ["\uff10", "\u0660", "\u0966", "\U0001d7ce"])
def test_s11_the_right_code_in_other_digits_is_wrong(zero: str, world: World) -> None:
    """Full-width, Arabic, Devanagari and mathematical digits do not sign in."""
    world.omniadmin()
    browser = at_second_factor(world, ADA)
    disguised = "".join(chr(ord(zero) + int(digit)) for digit in world.next_code())
    assert try_code(browser, disguised) == 400
    assert browser.get("/").status_code == 302


def test_s12_five_wrong_passwords_start_a_pause(world: World) -> None:
    """The sixth try is not judged, even with the right password, and the answer says how long to wait."""
    world.omniadmin()
    browser = world.browser()
    assert [try_password(browser, ADA, "not her password") for _ in range(5)] == [400] * 5
    browser.get("/login")
    response = browser.post("/login", {"email": ADA, "password": PASSWORD})
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 31
    world.clock.advance(seconds=31)
    assert try_password(browser, ADA, PASSWORD) == 303


def test_s12_the_pause_doubles_up_to_an_hour(world: World) -> None:
    """Each further wrong password costs twice as long, and never more than an hour."""
    world.omniadmin()
    browser, pauses = world.browser(), []
    for _ in range(14):
        try_password(browser, ADA, "not her password")
        browser.get("/login")
        refused = browser.post("/login", {"email": ADA, "password": "not her password"})
        if refused.status_code == 429:
            pauses.append(int(refused.headers["Retry-After"]) - 1)
            world.clock.advance(seconds=pauses[-1] + 1)
    assert pauses[:5] == [30, 60, 120, 240, 480]
    assert max(pauses) == pauses[-1] == 3600


def test_s12_wrong_passwords_lock_nobody_else_out(world: World) -> None:
    """Another account from the same network, and this account from another network, are not held up."""
    world.omniadmin()
    world.omniadmin(BEN, "Ben Ito")
    attacker = world.browser()
    for _ in range(6):
        try_password(attacker, ADA, "not her password")
    assert try_password(attacker, BEN, PASSWORD) == 303
    owner = world.browser()
    owner.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert try_password(owner, ADA, PASSWORD) == 303


def test_s12_five_wrong_codes_start_a_pause_for_the_account(world: World) -> None:
    """They count over browsers, and neither a new sign-in nor the right code gets past the pause."""
    world.omniadmin()
    for _ in range(5):
        assert try_code(at_second_factor(world, ADA), wrong_code(world)) == 400
    browser = at_second_factor(world, ADA)
    browser.get("/login/verify")
    response = browser.post("/login/verify", {"code": world.code()})
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 31
    world.clock.advance(seconds=31)
    assert try_code(browser, world.code()) == 303


def test_s12_wrong_codes_lock_no_other_account_out(world: World) -> None:
    """Ben signs in while Ada's second factor waits."""
    world.omniadmin()
    world.omniadmin(BEN, "Ben Ito")
    browser = at_second_factor(world, ADA)
    for _ in range(6):
        try_code(browser, wrong_code(world))
    assert try_code(at_second_factor(world, BEN), world.next_code()) == 303


def test_s12_a_new_ticket_never_resets_the_count(world: World) -> None:
    """Wrong codes at the confirmation count on over Send again, and over a new request."""
    world.omniadmin()
    world.instance("acme")
    ada = world.signed_in()
    request, statuses = world.ask(ada, "acme"), []

    def guess() -> None:
        link = world.confirmation_link()
        ada.get(link)
        statuses.append(ada.post(link, {"code": wrong_code(world)}).status_code)

    for _ in range(2):
        guess()
    ada.get(f"/access/{request.public_id}")
    assert ada.post(f"/access/{request.public_id}/send-again").status_code == 303
    for _ in range(2):
        guess()
    ada.get(f"/access/{request.public_id}")
    assert ada.post(f"/access/{request.public_id}/cancel").status_code == 303
    world.ask(ada, "acme")
    for _ in range(2):
        guess()
    assert statuses == [400, 400, 400, 400, 400, 429]


def test_s12_what_is_typed_during_the_pause_is_not_counted(world: World) -> None:
    """Impatience does not lengthen the pause."""
    world.omniadmin()
    browser = at_second_factor(world, ADA)
    for _ in range(10):
        try_code(browser, wrong_code(world))
    world.clock.advance(seconds=31)
    assert try_code(browser, world.code()) == 303


def test_s42_known_and_unknown_addresses_get_the_same_answer(world: World) -> None:
    """Status, page and headers do not tell whether there is an account, active, invited, temporary or none."""
    home = world.default_instance()
    world.omniadmin()
    world.user(home, "gone@operator.example", active=False)
    with_no_password = world.user(home, "invited@operator.example")
    with_no_password.password_hash = None
    answers = []
    for address in (ADA, "gone@operator.example", "invited@operator.example", "nobody@operator.example", "no address"):
        browser = world.browser()
        for _ in range(6):
            browser.get("/login")
            response = browser.post("/login", {"email": address, "password": "not the password"})
        page = browser.page.replace(address, "X").replace(browser.token or "-", "T")
        answers.append((response.status_code, page, sorted(name for name, _ in response.headers)))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("address", [ADA, "gone@operator.example", "nobody@operator.example", "no address"])
def test_s42_unknown_addresses_cost_the_same_work(address: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly one Argon2 verification of the same cost is done, whoever is asked for."""
    known = world.omniadmin()
    world.user(world.default_instance(), "gone@operator.example", active=False)
    with transaction() as session:  # everywhere else passwords are cheap to verify; this is about the real cost
        session.execute(update(User).where(User.id == known.id).values(password_hash=hash_password(PASSWORD)))
    costs: list[str] = []
    real: Callable[..., bool] = argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, stored: str, password: str) -> bool:
        costs.append(stored.split("$")[3])
        return real(self, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    try_password(world.browser(), address, "not the password")
    assert costs == ["m=19456,t=2,p=1"]


def test_a_stale_first_factor_opens_nothing(world: World) -> None:
    """Ten minutes after the password, or on another host, the second factor is asked of nobody."""
    world.omniadmin()
    world.instance("acme")
    browser = at_second_factor(world, ADA)
    pre = browser.cookie("tempadmin_pre", "localhost")
    browser.client.set_cookie("tempadmin_pre", pre or "", domain="acme.localhost")
    assert browser.get("http://acme.localhost:8000/login/verify").status_code == 303
    world.clock.advance(minutes=10)
    assert browser.get("http://localhost:8000/login/verify").status_code == 303
