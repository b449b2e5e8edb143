"""S03, P5: only the requester, in the browser that began, with a second factor given for this request, gets in."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from instances.models import VirtualInstance
from tempadmin.accounts import omniadmins
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.db import transaction
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import ACME, ACME_HOST, BEA, events, key_in, thief, to_return
from tests.world import CONSOLE, PASSWORD, World
from tickets.expire import expire_due
from tickets.models import AccessRequest
from tickets.states import State

OTHER = "http://borealis.localhost:8000"
GARBLED = "bm90aGluZw.c2lnbmF0dXJl"


@pytest.fixture
def ready(world: World, acme: VirtualInstance) -> tuple[Browser, AccessRequest, str]:
    """Ada's browser, her confirmed request for acme, and its one-time link; other people and instances stand by."""
    other = world.instance("borealis")
    world.omniadmin(BEA, "Bea Ek")
    world.administrator(acme, "boss@acme.example")
    world.user(acme, "per@acme.example")
    world.administrator(other, "boss@borealis.example")
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    return ada, request, world.confirm(ada)


def refusal(browser: Browser, url: str) -> tuple[int, str]:
    """How a browser is refused; the address itself does not count."""
    response = browser.get(url)
    return response.status_code, re.sub(r'csrf_token" value="[^"]*"', "", browser.text)


def entry(request: AccessRequest, challenge: str = "c" * 43) -> str:
    """Where the hand-off asks the console for a code."""
    return f"{CONSOLE}/access/enter?request={request.public_id}&challenge={challenge}"


def test_s03_another_omniadmin_learns_nothing(world: World, ready: tuple[Browser, AccessRequest, str]) -> None:
    """To another omniadmin the way in and the confirmation look as if they did not exist."""
    _, request, link = ready
    bea = world.signed_in(BEA)
    departed = bea.get(link).headers["Location"]
    assert refusal(bea, departed)[0] == 404
    assert refusal(bea, departed) == refusal(bea, departed.replace(request.public_id, "no-such-request"))
    confirmation = world.confirmation_link()
    assert refusal(bea, confirmation)[0] == 404
    assert refusal(bea, confirmation) == refusal(bea, f"{CONSOLE}/access/confirm?key={GARBLED}")
    for action in ("cancel", "send-again", "new-link", "confirmation"):
        bea.get(f"{CONSOLE}/access/{request.public_id}")
        status = bea.post(f"{CONSOLE}/access/{request.public_id}/{action}").status_code
        assert status in (404, 409), action
    bea.get(f"{CONSOLE}/access/{request.public_id}")
    assert bea.post(confirmation, {"code": world.next_code()}).status_code == 404
    bea.get(f"{CONSOLE}/access/{request.public_id}")
    assert bea.post(f"{CONSOLE}/access/not-me?key={key_in(confirmation)}").status_code == 404
    assert world.request(request.id).state == State.READY


@pytest.mark.parametrize(
    "address", ["boss@acme.example", "per@acme.example", "boss@borealis.example"], ids=["boss", "member", "neighbour"]
)
def test_s03_a_customer_gets_no_further_than_the_sign_in(
    world: World, ready: tuple[Browser, AccessRequest, str], address: str
) -> None:
    """People of customers hold no session on the console, and cannot begin one there."""
    _, request, link = ready
    base = OTHER if "borealis" in address else ACME
    person = world.browser(base)
    person.get(f"{base}/login")
    person.post(f"{base}/login", {"email": address, "password": PASSWORD}, follow=True)
    cookie = person.cookie(SESSION_COOKIE, base.partition("//")[2].partition(":")[0])
    assert cookie is not None
    departed = person.get(link).headers["Location"]
    assert person.get(departed).headers["Location"] == "/login"
    assert thief(world, cookie, CONSOLE).get(departed).headers["Location"] == "/login"
    person.get(f"{CONSOLE}/login")
    assert person.post(f"{CONSOLE}/login", {"email": address, "password": PASSWORD}).status_code == 400
    assert world.request(request.id).state == State.READY


def test_s03_a_support_session_opens_no_further_door(world: World, ready: tuple[Browser, AccessRequest, str]) -> None:
    """A temporary administrator's cookie is worth nothing on the console and on other instances (P8)."""
    ada, _, link = ready
    ada.get(link, follow=True)
    second = world.ask(ada, "borealis")
    inside = world.confirm(ada)
    cookie = ada.cookie(SESSION_COOKIE, ACME_HOST) or ""
    for base in (CONSOLE, OTHER):
        browser = thief(world, cookie, base)
        departed = browser.get(inside).headers["Location"]
        assert browser.get(departed).headers["Location"] == "/login"
        assert browser.get(f"{base}/").headers["Location"] == "/login"
    assert world.request(second.id).state == State.READY


def test_s03_a_link_does_not_exist_on_another_host(world: World, ready: tuple[Browser, AccessRequest, str]) -> None:
    """On another instance and on the console the same key answers as a garbled one does."""
    ada, request, link = ready
    for base in (OTHER, CONSOLE):
        there = refusal(ada, link.replace(ACME, base))
        assert there[0] == 404
        assert there == refusal(ada, f"{base}/login/ticket?key={GARBLED}")
    back = to_return(ada, link)
    assert ada.get(back.replace(ACME, OTHER)).status_code == 409  # this browser keeps nothing for that host
    assert ada.get(back.replace(ACME, CONSOLE)).status_code == 404
    assert world.request(request.id).state == State.READY


def test_s03_before_the_confirmation_there_is_no_way_in(world: World, acme: VirtualInstance) -> None:
    """Without the second factor for this request even the requester's own browser gets no code."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    response = ada.get(entry(request))
    assert response.status_code == 409
    assert "Location" not in response.headers
    assert "access.code_issued" not in events(request.id)
    assert ada.get(f"{ACME}/login/ticket?key={key_in(world.confirmation_link())}").status_code == 404


def used(world: World, ada: Browser, request: AccessRequest, link: str) -> None:
    ada.get(link, follow=True)


def replaced(world: World, ada: Browser, request: AccessRequest, link: str) -> None:
    ada.get(f"{CONSOLE}/access/{request.public_id}")
    assert ada.post(f"{CONSOLE}/access/{request.public_id}/new-link").status_code == 200


def expired(world: World, ada: Browser, request: AccessRequest, link: str) -> None:
    world.clock.advance(minutes=5)


def lapsed(world: World, ada: Browser, request: AccessRequest, link: str) -> None:
    world.clock.advance(minutes=5)
    expire_due(world.runtime)


def cancelled(world: World, ada: Browser, request: AccessRequest, link: str) -> None:
    ada.get(f"{CONSOLE}/access/{request.public_id}")
    ada.post(f"{CONSOLE}/access/{request.public_id}/cancel", follow=True)
    assert world.request(request.id).state == State.ENDED


def left(world: World, ada: Browser, request: AccessRequest, link: str) -> None:
    ada.get(link, follow=True)
    ada.post(f"{ACME}/support-session/leave", follow=True)


SPENT: list[Callable[[World, Browser, AccessRequest, str], None]] = [used, replaced, expired, lapsed, cancelled, left]


@pytest.mark.parametrize("spend", SPENT, ids=lambda one: one.__name__)
def test_s03_a_spent_link_answers_the_same_410_to_everybody(
    world: World, ready: tuple[Browser, AccessRequest, str], spend: Callable[..., None]
) -> None:
    """Used, replaced, expired or over: one answer, which names a way on and not the cause."""
    ada, request, link = ready
    spend(world, ada, request, link)
    seen = {refusal(browser, link) for browser in (world.browser(ACME), world.signed_in(BEA))}
    assert len(seen) == 1
    status, words = seen.pop()
    assert status == 410
    assert "This link was used already, replaced by a newer one, or its time is over." in words
    assert "Open your requests" in words


def test_p5_a_stolen_link_needs_the_requesters_own_session(
    world: World, ready: tuple[Browser, AccessRequest, str]
) -> None:
    """A thief who opens the link is led to the console's sign-in; the requester's link works on."""
    ada, request, link = ready
    mallory = world.browser(ACME)
    assert mallory.get(mallory.get(link).headers["Location"]).headers["Location"] == "/login"
    assert world.request(request.id).state == State.READY
    assert ada.get(link, follow=True).status_code == 200


def test_p5_a_relayed_hand_off_fails_at_the_return(world: World, ready: tuple[Browser, AccessRequest, str]) -> None:
    """A thief has the requester's browser fetch the code for the thief's verifier: nobody enters by it."""
    ada, request, link = ready
    mallory = world.browser(ACME)
    lure = mallory.get(link).headers["Location"]
    back = ada.get(lure).headers["Location"]
    assert ada.get(back).status_code == 409  # this browser never began
    ada.get(link)  # now it keeps a verifier, and not that one
    back = ada.get(lure).headers["Location"]
    assert ada.get(back).status_code == 409
    assert mallory.get(back).status_code == 409  # burned
    assert world.request(request.id).state == State.READY
    assert ada.get(link, follow=True).status_code == 200
    assert mallory.cookie(SESSION_COOKIE, ACME_HOST) is None


def test_p5_a_requester_without_the_role_gets_no_code(world: World, ready: tuple[Browser, AccessRequest, str]) -> None:
    """Disabled between confirmation and entry: the session is refused and the request is over."""
    ada, request, link = ready
    back = to_return(ada, link)
    omniadmins.disable_omniadmin(
        instance_id=world.default_instance().id, email="ada@operator.example", runtime=world.runtime
    )
    assert ada.get(back).status_code == 410
    assert ada.get(entry(request)).headers["Location"] == "/login"
    assert ada.get(link).status_code == 410


def test_p5_a_role_that_was_taken_away_by_hand_enters_nothing(
    world: World, ready: tuple[Browser, AccessRequest, str]
) -> None:
    """Even when nothing was told of it, redemption reads the requester again under lock."""
    ada, request, link = ready
    back = to_return(ada, link)
    with transaction() as session:
        person = session.get_one(User, request.requester_id)
        assert person.role == OMNIADMIN
        person.active = False
    assert ada.get(back).status_code == 410
    assert world.request(request.id).state == State.READY
