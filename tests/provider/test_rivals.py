"""P2, P3, P4: a login against whatever happens at the same moment, with real threads, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tempadmin.db import db
from tempadmin.errors import Conflict
from tests.conftest import Build
from tests.provider.product import Product, connected, registered_at
from tests.tickets.evidence import at_once, events, workers
from tests.tickets.locks import overlap, while_waiting
from tests.tickets.scenes import new_scene
from tests.world import REASON, World
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.provider import register
from tickets.request import request_access
from tickets.states import EndReason, State

GIVEN, ENDING = "access.signed_in_to_product", "access.ending"


@pytest.fixture
def product(build: Build) -> Product:
    return connected(build(rate_limits=False))


@pytest.fixture
def other(product: Product) -> Iterator[World]:
    """A second process with the same database."""
    with workers(product.world, 1) as (one,):
        yield one


def ending(product: Product, world: World) -> Callable[[], str]:
    """An end by the customer; says what became of the request."""

    def end() -> str:
        reason, actor = EndReason.ENDED_BY_CUSTOMER, product.scene.actor
        end_access(request_id=product.scene.request_id, reason=reason, actor=actor, runtime=world.runtime)
        return "ended"

    return end


def as_seen_by(product: Product, world: World) -> Product:
    return replace(product, world=world)


def test_p2_a_code_that_comes_many_times_at_once_gets_one_answer(product: Product) -> None:
    """Eight at the same moment: one gets tokens, the others nothing, and then those are worth nothing either."""
    code = product.code()
    with workers(product.world, 4) as others:
        products = [as_seen_by(product, world) for world in others for _ in range(2)]
        answers = at_once([lambda one=one: one.exchange(code) for one in products])  # type: ignore[misc]
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 7}
    (given,) = (answer.json() for answer in answers if answer.status_code == 200)
    assert product.userinfo(given["access_token"]).status_code == 401
    assert Counter(events(product.scene.request_id))[GIVEN] == 1


def test_p4_s05_a_code_is_too_late_by_the_clock_under_the_lock(product: Product) -> None:
    """It came in time, and waited for a lock until its minute was over."""
    code, world = product.code(), product.world
    answer = while_waiting(
        world, product.scene.request_id, lambda: product.exchange(code), lambda: world.clock.advance(seconds=60)
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_p4_s05_no_code_is_handed_out_by_a_clock_that_was_read_before_the_lock(product: Product) -> None:
    """The wish came in time, and waited for a lock until the access was over."""
    world, browser = product.world, product.browser()
    came = while_waiting(
        world, product.scene.request_id, lambda: product.asked(browser), lambda: world.clock.advance(hours=1)
    )
    assert came["error"] == "access_denied"


def test_p3_an_end_that_is_first_leaves_nothing_to_exchange(product: Product, other: World) -> None:
    """The exchange waits for the end, and is refused."""
    code = product.code()
    _, answer = overlap(
        (product.world, ending(product, product.world)),
        (other, lambda: as_seen_by(product, other).exchange(code)),
        at=ENDING,
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert product.request.state == State.ENDED
    assert GIVEN not in events(product.scene.request_id)


def test_p3_an_end_that_is_second_takes_back_what_was_given(product: Product, other: World) -> None:
    """The end waits for the exchange; the token that was given by then works no more."""
    code = product.code()
    answer, _ = overlap((product.world, lambda: product.exchange(code)), (other, ending(product, other)), at=GIVEN)
    assert answer.status_code == 200
    assert product.userinfo(answer.json()["access_token"]).status_code == 401
    assert product.request.state == State.ENDED


def test_p3_an_end_that_is_first_leaves_no_code_to_hand_out(product: Product, other: World) -> None:
    """The browser's wish waits for the end, and goes back with an error."""
    browser = as_seen_by(product, other).browser()
    _, came = overlap(
        (product.world, ending(product, product.world)), (other, lambda: product.asked(browser)), at=ENDING
    )
    assert came["error"] in ("access_denied", "login_required")
    assert "code" not in came


@pytest.mark.parametrize(
    ("first", "outcome"), [("request", ("asked", "refused", ["oidc"])), ("removal", ("removed", "asked", ["panel"]))]
)
def test_a_request_and_the_removal_of_its_product_see_each_other(
    world: World, first: str, outcome: tuple[str, str, list[str]]
) -> None:
    """Whichever is later knows of the other: nobody is promised a way in that is gone."""
    scene = new_scene(world)
    registered_at(world, scene)

    def ask() -> str:
        facts: dict[str, Any] = {
            "reason": REASON,
            "external_ticket": None,
            "duration": timedelta(hours=1),
            "runtime": world.runtime,
        }
        request_access(requester_id=scene.user_id, web_id=scene.web_id, **facts)
        return "asked"

    def remove() -> str:
        try:
            register.remove(instance_id=scene.instance_id, actor=scene.actor, runtime=world.runtime)
        except Conflict:
            return "refused"
        return "removed"

    calls = [("access.requested", ask), ("oidc.client_removed", remove)]
    (at, one), (_, other) = calls if first == "request" else reversed(calls)
    db.session.rollback()
    said = overlap((world, one), (world, other), at=at)
    assert (*said, db.session.scalars(select(AccessRequest.entry)).all()) == outcome
