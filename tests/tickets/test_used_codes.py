"""S10: each code works once; a used one says so, keeps the form, and counts as no guess."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts import factors
from tempadmin.accounts.models import SecondFactor, Throttle
from tempadmin.accounts.totp import code_at, seconds_to_next_step
from tempadmin.db import db, transaction
from tests.browser import Browser
from tests.tickets.evidence import at_once, dump, workers
from tests.world import CONSOLE, PASSWORD, SEED, World
from tickets.states import State

RIVALS = 24
USED = "This code was used already; the next one appears in"


def failures(world: World) -> int:
    """The wrong answers that were counted against factors."""
    db.session.rollback()
    rows = db.session.scalars(select(Throttle).where(Throttle.key.startswith("factor:")))
    return sum(row.failures for row in rows)


def at_verify(world: World, address: str = "ada@operator.example") -> Browser:
    """A browser in which the first factor was given."""
    browser = world.browser()
    browser.get("/login")
    browser.post("/login", {"email": address, "password": PASSWORD}, follow=True)
    assert browser.url.endswith("/login/verify")
    return browser


def judge(world: World, user_id: int, answer: str) -> bool:
    """Judge an answer as both pages do; whether it was right."""
    with transaction():
        return factors.judge(user_id=user_id, answer=answer, runtime=world.runtime).refusal is None


def test_s10_replay_matrix(world: World) -> None:
    """Of codes A and B in turn: A, A, B, A, B, and a later C – each works once, and none after a later one."""
    ada = world.omniadmin()
    first = world.code()
    assert judge(world, ada.id, first)
    assert not judge(world, ada.id, first)
    second = world.next_code()
    assert first != second
    assert not judge(world, ada.id, first)  # the previous step is in time, and used
    assert judge(world, ada.id, second)
    assert [judge(world, ada.id, code) for code in (first, second, first)] == [False, False, False]
    assert judge(world, ada.id, world.next_code())
    assert failures(world) == 0  # all within their time, so none of them was a guess


def test_s10_the_previous_step_is_accepted_and_no_older_one(world: World) -> None:
    """A code typed as it changes still works; one that is two steps old is a wrong guess, as is a future one."""
    ada = world.omniadmin()
    now = world.clock.now()
    old = world.code()
    world.clock.advance(seconds=60)
    assert not judge(world, ada.id, old)
    assert not judge(world, ada.id, code_at(SEED, now.replace(year=now.year + 1)))
    assert failures(world) == 2
    previous = world.code()
    world.clock.advance(seconds=30)
    assert judge(world, ada.id, previous)


def test_s10_a_code_that_is_older_than_the_last_is_refused_even_if_unused(world: World) -> None:
    """B before A: once the later step was accepted, the earlier one is not, though nobody used it."""
    ada = world.omniadmin()
    earlier = world.code()
    assert judge(world, ada.id, world.next_code())
    assert not judge(world, ada.id, earlier)


def test_s10_the_code_that_signed_in_cannot_confirm(world: World, acme: VirtualInstance) -> None:
    """The confirmation wants a fresh code: the form comes back, says when, counts nothing, and the next code works."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    link = world.confirmation_link()
    ada.get(link)
    before = dump(world)
    response = ada.post(link, {"code": world.code()})
    assert response.status_code == 400
    assert f"{USED} {seconds_to_next_step(world.clock.now())} s." in ada.text
    assert 'name="code"' in ada.page
    assert "Confirm" in ada.text
    after = dump(world)
    assert {name for name in before if before[name] != after[name]} <= {"throttles"}  # the row that is locked
    assert failures(world) == 0
    assert world.request(request.id).state == State.AWAITING_CONFIRMATION
    assert ada.post(link, {"code": world.next_code()}).status_code == 200


def test_s10_the_code_that_confirmed_cannot_sign_in(world: World, acme: VirtualInstance) -> None:
    """Sign-in answers a used code with the form, the seconds, and no count; the next one signs in."""
    ada = world.signed_in()
    world.ask(ada, "acme")
    world.confirm(ada)
    again = at_verify(world)
    for _ in range(7):  # more than the wrong answers that would start a pause
        assert again.post("/login/verify", {"code": world.code()}).status_code == 400
        assert f"{USED} {seconds_to_next_step(world.clock.now())} s." in again.text
    assert 'name="code"' in again.page
    assert failures(world) == 0
    again.post("/login/verify", {"code": world.next_code()}, follow=True)
    assert again.url == f"{CONSOLE}/"


def test_s10_the_code_that_confirmed_one_request_cannot_confirm_another(world: World, acme: VirtualInstance) -> None:
    """Each request needs a second factor of its own."""
    world.instance("borealis")
    ada = world.signed_in()
    world.ask(ada, "borealis")
    world.confirm(ada)
    other = world.ask(ada, "acme")
    link = world.confirmation_link()
    ada.get(link)
    assert ada.post(link, {"code": world.code()}).status_code == 400
    assert USED in ada.text
    assert world.request(other.id).state == State.AWAITING_CONFIRMATION


def test_s10_a_wrong_code_is_counted_and_survives_its_refusal(world: World, acme: VirtualInstance) -> None:
    """A guess is committed before anybody hears of it; the fifth starts a pause that a new ticket does not lift."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    link = world.confirmation_link()
    ada.get(link)
    for number in range(1, 6):
        assert ada.post(link, {"code": "000000"}).status_code == 400
        assert failures(world) == number
    world.clock.advance(seconds=25)  # a fresh code, still within the pause
    response = ada.post(link, {"code": world.code()})
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "6"
    ada.get(f"{CONSOLE}/access/{request.public_id}")
    ada.post(f"{CONSOLE}/access/{request.public_id}/send-again", follow=True)
    renewed = world.confirmation_link()
    assert renewed != link
    ada.get(renewed)
    assert ada.post(renewed, {"code": world.code()}).status_code == 429
    world.clock.advance(seconds=5)
    ada.get(renewed)
    assert ada.post(renewed, {"code": world.code()}).status_code == 200


@pytest.mark.parametrize("rivals", [RIVALS])
def test_s10_of_simultaneous_uses_of_one_code_one_is_right(world: World, rivals: int) -> None:
    """24 threads over four workers judge one code at once: the guarded UPDATE lets one through, none is counted."""
    ada_id, code = world.omniadmin().id, world.code()

    def answer(one: World) -> bool:
        with one.app.app_context():
            return judge(one, ada_id, code)

    with workers(world, 4) as others:
        calls: list[Callable[[], bool]] = [lambda one=one: answer(one) for one in others * (rivals // 4)]  # type: ignore[misc]
        outcome = at_once(calls)
    assert sorted(outcome) == [False] * (rivals - 1) + [True]
    assert failures(world) == 0
    db.session.rollback()
    assert db.session.scalars(select(SecondFactor)).one().last_step == int(world.clock.now().timestamp()) // 30


def test_s10_one_code_signs_in_or_confirms_and_never_both(world: World, acme: VirtualInstance) -> None:
    """A thief at the sign-in page and the owner at the confirmation use one code at once: one of them gets through."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    link = world.confirmation_link()
    ada.get(link)
    thief = at_verify(world)
    code = world.next_code()
    statuses = at_once(
        [
            lambda: ada.post(link, {"code": code}).status_code,
            lambda: thief.post("/login/verify", {"code": code}).status_code,
        ]
    )
    confirmed = world.request(request.id).state == State.READY
    assert sorted(statuses) == ([200, 400] if confirmed else [303, 400])
