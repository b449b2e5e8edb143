"""S35: nobody is worn out by requests; reasons say something and not too much."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tempadmin.audit.log import SERVICE
from tempadmin.db import transaction
from tempadmin.errors import Invalid, RateLimited
from tests.world import REASON, World
from tickets import policy
from tickets.asking import Asked
from tickets.end import end_access
from tickets.machine import locked
from tickets.request import request_access
from tickets.states import EndReason


def ask(world: World, web_id: str = "acme", reason: str = REASON) -> Asked:
    person = world.app.extensions["requester"]
    return request_access(
        requester_id=person,
        web_id=web_id,
        reason=reason,
        external_ticket=None,
        duration=timedelta(hours=1),
        runtime=world.runtime,
    )


@pytest.fixture
def asking(world: World) -> World:
    world.app.extensions["requester"] = world.omniadmin().id
    world.instance("acme")
    return world


def end(world: World, asked: Asked, reason: EndReason) -> None:
    end_access(request_id=asked.id, reason=reason, actor=SERVICE, runtime=world.runtime)


def test_s35_open_requests_of_one_person_are_capped(asking: World) -> None:
    """The eleventh open request waits until one of ten is over."""
    first = ask(asking)
    for number in range(policy.MOST_OPEN - 1):
        asking.instance(f"other-{number}")
        ask(asking, f"other-{number}")
    asking.instance("one-more")
    with pytest.raises(RateLimited, match="open requests"):
        ask(asking, "one-more")
    end(asking, first, EndReason.CANCELLED)
    ask(asking, "one-more")


def test_s35_an_instance_that_said_no_is_left_alone_for_a_day(asking: World) -> None:
    """Three rejections within a day stop further requests for that instance, and for no other."""
    asking.instance("other")
    for _ in range(policy.MOST_REJECTED):
        end(asking, ask(asking), EndReason.REJECTED)
    with pytest.raises(RateLimited) as caught:
        ask(asking)
    assert caught.value.retry_after > 0
    ask(asking, "other")
    asking.clock.advance(days=1, seconds=1)
    ask(asking)


def test_s35_requests_for_one_instance_are_capped_per_day(asking: World) -> None:
    """Asking and cancelling without end is not a way to fill the directory."""
    for _ in range(policy.MOST_ASKED):
        end(asking, ask(asking), EndReason.CANCELLED)
    with pytest.raises(RateLimited, match="within a day"):
        ask(asking)


@pytest.mark.parametrize("length", [0, 9, 2001, 100_000])
def test_s35_reasons_of_the_wrong_size_are_refused_by_name_of_the_field(asking: World, length: int) -> None:
    """Ten to two thousand characters; the error belongs to the field, and nothing was asked."""
    with pytest.raises(Invalid) as caught:
        ask(asking, reason="x" * length)
    assert caught.value.field == "reason"


@pytest.mark.parametrize("length", [10, 2000])
def test_s35_reasons_of_the_right_size_are_taken_as_they_are(asking: World, length: int) -> None:
    """Both ends of the range belong to it."""
    asked = ask(asking, reason="x" * length)
    with transaction():
        assert locked(asked.id).reason == "x" * length


def test_blanks_do_not_make_a_reason(asking: World) -> None:
    """White space and control characters at the ends do not count."""
    with pytest.raises(Invalid):
        ask(asking, reason=" \t\n\x00" * 10 + "short" + "\r\n" * 10)


def test_s35_the_page_keeps_what_was_typed_when_a_cap_is_reached(asking: World) -> None:
    """429 with Retry-After, the sentence above the form, and the reason still in it."""
    for _ in range(policy.MOST_REJECTED):
        end(asking, ask(asking), EndReason.REJECTED)
    ada = asking.signed_in()
    ada.get("/instances/acme/request-access")
    response = ada.post(data={"reason": "A reason that took long to write.", "duration": "3600"})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert "said no to you" in ada.text
    assert "A reason that took long to write." in ada.page
