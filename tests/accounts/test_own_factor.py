"""One's own second factor: added with the password, changed and removed with the existing one (S13, S14, S23)."""

from __future__ import annotations

import re

import pytest

from tempadmin.accounts import totp
from tempadmin.accounts.models import RecoveryCode, SecondFactor
from tempadmin.accounts.omniadmins import reset_factor
from tempadmin.accounts.own_factor import remove_factor
from tempadmin.db import db
from tempadmin.errors import Forbidden
from tests.accounts.people import (
    ACME,
    MIA,
    add_factor,
    alive,
    answer,
    codes_on,
    first_factor,
    gets_in,
    member,
    old_code,
    send_device,
    shown_seed,
    states,
    subjects,
)
from tests.world import CONSOLE, PASSWORD, World

PATH, REMOVE, RENEW = "/account/second-factor", "/account/second-factor/remove", "/account/recovery-codes"


def test_s14_a_member_turns_a_second_factor_on(world: World) -> None:
    """With the password and the new device's code; from then on a sign-in asks for a code."""
    member(world)
    browser, other = world.signed_in(MIA, ACME), world.signed_in(MIA, ACME)
    seed = add_factor(world, browser)
    assert len(set(codes_on(browser))) == 10
    assert alive(browser, ACME)
    assert not alive(other, ACME)
    assert not gets_in(world, MIA, ACME)
    world.clock.advance(seconds=30)
    assert gets_in(world, MIA, ACME, code=totp.code_at(seed, world.clock.now()))
    assert subjects(world) == ["You now sign in to Acme with a second factor"]


def test_s14_without_password_or_the_new_devices_code_nothing_is_added(world: World) -> None:
    """Each alone is not enough, and what was shown is not kept."""
    member(world)
    browser = world.signed_in(MIA, ACME)
    seed = shown_seed(browser)
    assert send_device(world, browser, seed, {"password": "not the password"}) == 400
    assert send_device(world, browser, seed, {"password": PASSWORD}, code="000000") == 400
    assert send_device(world, browser, seed, {}) == 400
    assert gets_in(world, MIA, ACME)
    assert send_device(world, browser, seed, {"password": PASSWORD}) == 200


def test_s14_the_same_picture_is_shown_until_it_is_proven(world: World) -> None:
    """After a slip the page shows the seed that the device has read already; another visit shows another."""
    member(world)
    browser = world.signed_in(MIA, ACME)
    seed = shown_seed(browser)
    send_device(world, browser, seed, {"password": PASSWORD}, code="000000")
    assert seed in re.sub(r"\s", "", browser.page)
    assert shown_seed(browser) != seed


def test_s14_a_new_device_takes_the_present_ones_place(world: World) -> None:
    """The present code is asked; afterwards the old device's codes and the old recovery codes are wrong."""
    world.omniadmin()
    browser = world.signed_in()
    answer(browser, RENEW, {"code": old_code(world)})
    (former, *_) = codes_on(browser)
    code = old_code(world)
    seed = shown_seed(browser)
    assert send_device(world, browser, seed, {"code": code}) == 200
    assert former not in codes_on(browser)
    world.clock.advance(seconds=30)
    assert not gets_in(world, code=old_code(world))
    assert not gets_in(world, code=former)
    assert gets_in(world, code=totp.code_at(seed, world.clock.now()))
    assert subjects(world)[-1] == "Your second factor at Operator was changed"


def test_s14_the_existing_factor_is_needed(world: World) -> None:
    """The password, no code, or a wrong one does not change the device."""
    world.omniadmin()
    browser = world.signed_in()
    seed = shown_seed(browser)
    for wrong in ({}, {"password": PASSWORD}, {"code": "000000"}, {"code": totp.code_at(seed, world.clock.now())}):
        assert send_device(world, browser, seed, wrong) == 400
    assert gets_in(world, code=old_code(world))


def test_s14_a_slip_on_the_new_device_uses_no_code_up(world: World) -> None:
    """The new code is looked at first, so the present device's code can be sent again."""
    world.omniadmin()
    browser = world.signed_in()
    code = old_code(world)
    seed = shown_seed(browser)
    assert send_device(world, browser, seed, {"code": code}, code="000000") == 400
    assert send_device(world, browser, seed, {"code": code}) == 200


def test_s12_wrong_codes_are_counted_there_too(world: World) -> None:
    """Five wrong ones start the pause, over all pages of the account."""
    world.omniadmin()
    browser = world.signed_in()
    assert [answer(browser, RENEW, {"code": "000000"}) for _ in range(3)] == [400] * 3
    seed = shown_seed(browser)
    assert send_device(world, browser, seed, {"code": "000000"}) == 400
    form = {"present": PASSWORD, "password": "x" * 20, "password_again": "x" * 20, "code": "000000"}
    assert answer(browser, "/account/password", form) == 400
    assert answer(browser, RENEW, {"code": world.code()}) == 429


def test_s23_a_changed_factor_ends_other_sessions_and_open_accesses(world: World) -> None:
    """The session that did it goes on; the others and the open access end, and the request says why."""
    world.omniadmin()
    world.instance("acme")
    ada, elsewhere = world.signed_in(), world.signed_in()
    world.enter(ada)
    code = old_code(world)
    seed = shown_seed(ada, CONSOLE + PATH)
    assert send_device(world, ada, seed, {"code": code}) == 200
    assert alive(ada)
    assert not alive(elsewhere)
    assert not alive(ada, ACME)
    assert states(world) == [("ended", "credentials_changed")]
    ada.get(f"/access/{world.newest_request().public_id}")
    assert "password or second factor was changed" in ada.text


def test_s14_a_form_with_a_picture_works_once(world: World) -> None:
    """Sent again (reload, Back, a thief's copy) it is out of date, and lowers no time step (S10)."""
    world.omniadmin()
    browser = world.signed_in()
    code = old_code(world)
    seed = shown_seed(browser)
    page = browser.page
    assert send_device(world, browser, seed, {"code": code}) == 200
    world.clock.advance(seconds=30)
    browser.page = page
    assert send_device(world, browser, seed, {"code": totp.code_at(seed, world.clock.now())}) == 409


def test_s14_another_persons_picture_is_refused(world: World) -> None:
    """A seed that somebody else was shown cannot be planted."""
    world.omniadmin()
    world.omniadmin("ben@operator.example", "Ben Ito")
    ben, ada = world.signed_in("ben@operator.example"), world.signed_in()
    seed = shown_seed(ben)
    ada.get(PATH)
    token = ada.token
    ada.page = ben.page.replace(ben.token, token)
    assert send_device(world, ada, seed, {"code": old_code(world)}) == 409


def test_s14_removing_asks_for_the_factor(world: World) -> None:
    """A wrong code removes nothing; a right one does, with the recovery codes and the other sessions."""
    member(world)
    browser = world.signed_in(MIA, ACME)
    seed = add_factor(world, browser)
    world.clock.advance(seconds=30)
    other = first_factor(world, MIA, ACME)
    other.post("/login/verify", {"code": totp.code_at(seed, world.clock.now())})
    assert answer(browser, REMOVE, {"code": "000000"}) == 400
    world.clock.advance(seconds=30)
    assert answer(browser, REMOVE, {"code": totp.code_at(seed, world.clock.now())}) == 303
    assert alive(browser, ACME)
    assert not alive(other, ACME)
    assert gets_in(world, MIA, ACME)
    assert db.session.query(RecoveryCode).count() == db.session.query(SecondFactor).count() == 0
    assert subjects(world)[-1] == "Your second factor at Acme was removed"


def test_s13_an_omniadmin_cannot_remove_it(world: World) -> None:
    """Neither does the page open, nor does the form work, nor would the use case."""
    ada = world.omniadmin()
    browser = world.signed_in()
    assert "/account/second-factor/remove" not in browser.page
    assert browser.get(REMOVE).status_code == 403
    browser.get("/account")
    assert browser.post(REMOVE, {"code": old_code(world)}).status_code == 403
    with pytest.raises(Forbidden):
        remove_factor(user_id=ada.id, session_id=0, answer=old_code(world), runtime=world.runtime)
    assert db.session.query(SecondFactor).count() == 1


def test_s14_a_change_voids_a_link_for_the_lost_device(world: World) -> None:
    """What reset-factor printed before the old device was found again opens nothing any more."""
    ada = world.omniadmin()
    home = world.default_instance()
    key = reset_factor(instance_id=home.id, email=ada.email, runtime=world.runtime)
    browser = world.signed_in()
    code = old_code(world)
    seed = shown_seed(browser)
    assert send_device(world, browser, seed, {"code": code}) == 200
    url = f"{CONSOLE}/welcome?key={key}"
    assert world.browser().get(url).status_code == 410
