"""An attacker's guesses do not lock the owner out: known devices have counters of their own (S12)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tempadmin.accounts import devices
from tempadmin.accounts.models import Throttle
from tempadmin.accounts.sign_in import STRANGERS_TRIES
from tempadmin.db import db
from tests.accounts.people import ACME, ADA, MIA, member
from tests.browser import Browser
from tests.conftest import Build
from tests.world import CONSOLE, PASSWORD, World

DEVICE = "tempadmin_device"
BEN = "ben@operator.example"


@pytest.fixture
def world(build: Build) -> World:
    """A world without the ceiling per address: a flood from everywhere passes it."""
    return build(rate_limits=False)


def try_password(browser: Browser, password: str, address: str = ADA) -> int:
    browser.get("/login")
    return browser.post("/login", {"email": address, "password": password}).status_code


def try_code(browser: Browser, code: str) -> int:
    browser.get("/login/verify")
    return browser.post("/login/verify", {"code": code}).status_code


def sign_out(browser: Browser) -> Browser:
    browser.get("/logout")
    browser.post("/logout")
    return browser


def from_network(world: World, number: int) -> Browser:
    browser = world.browser()
    browser.client.environ_base["REMOTE_ADDR"] = f"10.{number // 250}.{number % 250}.1"
    return browser


def flood(world: World, address: str = ADA) -> list[int]:
    """Wrong passwords from ever new networks, until none is judged any more."""
    statuses: list[int] = []
    while statuses[-3:] != [429] * 3:
        assert len(statuses) < 3 * STRANGERS_TRIES
        statuses.append(try_password(from_network(world, len(statuses)), "not her password", address))
    return statuses


def test_s12_the_owner_signs_in_from_a_known_device_through_a_flood(world: World) -> None:
    """Attackers of many networks reach the ceiling; a stranger waits, the owner's own browser does not."""
    world.omniadmin()
    owner = sign_out(world.signed_in())
    statuses = flood(world)
    assert statuses.count(400) == STRANGERS_TRIES
    assert try_password(from_network(world, 9_000), PASSWORD) == 429
    assert try_password(owner, PASSWORD) == 303
    assert try_code(owner, world.next_code()) == 303
    assert owner.get("/").status_code == 200
    # The first pause is over by now; the owner's sign-in has not given the attackers fifty new tries.
    strangers = [try_password(from_network(world, 9_000 + number), "not her password") for number in range(3)]
    assert strangers == [400, 429, 429]


def test_s12_a_flood_against_nobody_looks_the_same(world: World) -> None:
    """The ceiling tells nothing about whether there is an account (S42)."""
    assert flood(world, "nobody@operator.example").count(400) == STRANGERS_TRIES


def test_s12_strangers_may_try_again_after_the_pause(world: World) -> None:
    """The ceiling is a pause, not a lock; the right password ends it."""
    world.omniadmin()
    flood(world)
    world.clock.advance(seconds=31)
    assert try_password(from_network(world, 9_000), PASSWORD) == 303
    assert try_password(from_network(world, 9_001), "not her password") == 400


def test_s12_a_stranger_with_the_password_locks_no_known_device_out(world: World) -> None:
    """Wrong codes after the right password pause strangers; the owner signs in, and confirms, at once."""
    world.omniadmin()
    world.instance("acme")
    owner, inside = sign_out(world.signed_in()), world.signed_in()
    thief = from_network(world, 1)
    assert try_password(thief, PASSWORD) == 303
    assert [try_code(thief, "000000") for _ in range(6)] == [400] * 5 + [429]
    for pause in (30, 60, 120):  # the pause grows, so that the owner's waiting for fresh codes lies within it
        world.clock.advance(seconds=pause)
        assert try_code(thief, "000000") == 400
    assert try_password(owner, PASSWORD) == 303
    assert try_code(owner, world.next_code()) == 303
    world.ask(inside, "acme")
    world.confirm(inside)
    assert try_code(thief, "000000") == 429


def test_s12_a_known_device_has_five_tries_as_well(world: World) -> None:
    """Whoever takes the device's cookie along cannot guess without end, and holds up nobody else."""
    world.omniadmin()
    first, second = sign_out(world.signed_in()), sign_out(world.signed_in())
    assert [try_password(first, "not her password") for _ in range(6)] == [400] * 5 + [429]
    first.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert try_password(first, PASSWORD) == 429
    assert try_password(second, PASSWORD) == 303
    assert try_code(second, "000000") == 400
    assert try_password(from_network(world, 1), PASSWORD) == 303


def test_s12_factor_guesses_count_only_after_the_first_factor(world: World) -> None:
    """Without the password no answer reaches the second factor, so nobody can start its pause."""
    world.omniadmin()
    browser = world.browser()
    assert try_password(browser, "not her password") == 400
    for _ in range(6):
        assert try_code(browser, "000000") == 303
    db.session.rollback()
    assert not [key for key in db.session.scalars(select(Throttle.key)) if key.startswith("factor:")]


def test_s12_a_device_is_known_only_after_a_full_sign_in(world: World) -> None:
    """Neither the password alone nor an invented or altered cookie makes one."""
    world.omniadmin()
    half = world.browser()
    assert try_password(half, PASSWORD) == 303
    assert half.cookie(DEVICE, "localhost") is None
    real = world.signed_in().cookie(DEVICE, "localhost") or ""
    flood(world)
    for forged in ("", "x", real.swapcase(), "." + real, real.partition(".")[0]):
        browser = world.browser()
        browser.client.set_cookie(DEVICE, forged, domain="localhost")
        assert try_password(browser, PASSWORD) == 429, forged


def test_s12_a_device_is_known_to_those_who_signed_in_there(world: World) -> None:
    """Ben's browser is a stranger's to Ada, and a cookie of one host is nothing on another."""
    world.omniadmin()
    world.omniadmin(BEN, "Ben Ito")
    member(world)
    ben = sign_out(world.signed_in(BEN))
    mia = sign_out(world.signed_in(MIA, ACME))
    flood(world)
    assert try_password(ben, PASSWORD) == 429
    mia.client.set_cookie(DEVICE, mia.cookie(DEVICE, "acme.localhost") or "", domain="localhost")
    mia.get(CONSOLE + "/login")
    assert mia.post(CONSOLE + "/login", {"email": ADA, "password": PASSWORD}).status_code == 429


def test_s12_one_browser_is_known_to_several_people(world: World) -> None:
    """Ada and Ben share a desk; each is known there after the other signed in too."""
    world.omniadmin()
    world.omniadmin(BEN, "Ben Ito")
    desk = sign_out(world.signed_in())
    try_password(desk, PASSWORD, BEN)
    assert try_code(desk, world.next_code()) == 303
    sign_out(desk)
    flood(world)
    assert try_password(desk, PASSWORD) == 303


def test_a_device_is_known_for_a_year_and_while_keys_rotate(build: Build) -> None:
    """An old key still verifies; at a year's age the cookie says nothing any more."""
    world = build(secret_keys=("k" * 32,))
    keys, now = world.runtime, world.clock.now()
    cookie = devices.remember(cookie=None, instance_id=1, address=ADA, now=now, runtime=keys)
    rotated = build("data", secret_keys=("n" * 32, "k" * 32)).runtime

    def known(days: int, *, address: str = ADA, instance_id: int = 1) -> bool:
        later = world.clock.now() + days * devices.LIFETIME / 365
        return bool(
            devices.known_id(cookie=cookie, instance_id=instance_id, address=address, now=later, runtime=rotated)
        )

    assert known(364)
    assert not known(365)
    assert not known(1, address=BEN)
    assert not known(1, instance_id=2)


def test_the_devices_cookie_names_nobody(world: World) -> None:
    """It holds no address and no name in clear, survives signing out, and is no session."""
    world.omniadmin()
    browser = sign_out(world.signed_in())
    cookie = browser.cookie(DEVICE, "localhost") or ""
    assert cookie
    assert "ada" not in cookie.lower()
    assert browser.get("/").status_code == 302
