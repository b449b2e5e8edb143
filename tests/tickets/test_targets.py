"""S09: where one goes after signing in is a name on an allow list, never an address from the request."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import quote, urljoin

import pytest
from flask import session

from instances.models import VirtualInstance
from tempadmin.web.security import PRE_SESSION_COOKIE
from tempadmin.web.targets import follow_target, targets
from tests.browser import Browser
from tests.tickets.evidence import ACME, key_in, to_return, with_cookie
from tests.world import CONSOLE, PASSWORD, World
from tickets.states import State

EVIL = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%5cevil.example",
    "/%2f/evil.example",
    "https:evil.example",
    "https://evil.example",
    "http://localhost:8000@evil.example/",
    "http://localhost:8000.evil.example/",
    "//localhost:8000@evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\tevil.example",
    "/ /evil.example",
    "/\r\nSet-Cookie: planted=1",
    "/%0d%0aSet-Cookie:%20planted=1",
    "/\u2028//evil.example",
    "evil.example",
    "@evil.example",
    ".evil.example",
]
PARAMETERS = ("next", "target", "url", "return_to", "redirect", "continue", "continue_to", "endpoint")


def sign_in(world: World, browser: Browser, query: str = "") -> list[str]:
    """Sign Ada in on the present page; return where each answer led."""
    led = []
    address = f"{CONSOLE}/login{query}"
    browser.get(address)
    sent = {"email": "ada@operator.example", "password": PASSWORD}
    for form, url in ((sent, address), ({"code": world.next_code()}, f"{CONSOLE}/login/verify{query}")):
        response = browser.post(url, form)
        assert response.status_code == 303, browser.trail
        led.append(response.headers["Location"])
        assert not any("planted" in cookie for cookie in response.headers.getlist("Set-Cookie"))
        browser.get(f"{CONSOLE}/login/verify{query}")
    return led


@pytest.fixture
def ada(world: World, acme: VirtualInstance) -> Browser:
    """A browser, signed in nowhere, of somebody who can sign in."""
    return world.browser()


def test_s09_no_parameter_says_where_to_go(world: World, acme: VirtualInstance) -> None:
    """Whatever its name and value, a parameter of the sign-in page leads nowhere: one lands on the start page."""
    for evil in EVIL:
        query = "?" + "&".join(f"{name}={quote(evil, safe='')}" for name in PARAMETERS)
        assert sign_in(world, world.browser(), query) == ["/login/verify", "/"], evil


def test_s09_what_does_not_fit_the_allow_list_is_not_remembered(world: World, acme: VirtualInstance) -> None:
    """Parameters of a page on the list must look as they should; else the page is forgotten, and no header is torn."""
    for evil in EVIL:
        value, browser = quote(evil, safe=""), world.browser()
        for path in (
            f"/access/enter?request={value}&challenge={'c' * 43}",
            f"/access/enter?request=abcdefgh&challenge={value}",
            f"/access/enter?request=abcdefgh&challenge={'c' * 43}&next={value}",
            f"/access/confirm?key={value}",
            f"/access/{value}",
            f"/{value}",
        ):
            response = browser.get(CONSOLE + path)
            assert response.headers.get("Location", "/login") == "/login", path
            assert not any("planted" in cookie for cookie in response.headers.getlist("Set-Cookie"))
        assert sign_in(world, browser) == ["/login/verify", "/"], evil


def test_s09_a_sealed_target_names_a_route_and_stays_on_its_host(world: World) -> None:
    """Even a seal of our own gives an address only as a value of a known route: the answer never leaves the host."""
    until = (world.clock.now() + timedelta(minutes=9)).isoformat()
    known: list[tuple[str, tuple[str, ...]]] = [
        ("accounts.sign_out_page", ()),
        ("console.show", ("public_id",)),
        ("entry.confirm_page", ("key",)),
        ("entry.enter", ("request", "challenge")),
    ]
    sealed = [(evil, endpoint, names) for evil in EVIL for endpoint, names in [(evil, ()), *known]]
    for evil, endpoint, names in sealed:
        parameters = dict.fromkeys(names, evil)
        with world.app.test_request_context("/login/verify", base_url=CONSOLE):
            session["target"] = {"endpoint": endpoint, "parameters": parameters, "until": until}
            led = follow_target().headers["Location"]
        assert urljoin(f"{CONSOLE}/login/verify", led).startswith(f"{CONSOLE}/"), led
        assert not led.startswith(("//", "/\\"))
        assert led.isascii()
        assert led.isprintable()
        if endpoint not in targets(world.app):
            assert led == "/"


def test_s09_an_unsealed_target_counts_as_none(world: World, ada: Browser) -> None:
    """A pre-session that was not sealed here, or was altered, is no pre-session."""
    ada.get(f"{CONSOLE}/access/abcdefgh")
    sealed = ada.cookie(PRE_SESSION_COOKIE, "localhost") or ""
    plain = json.dumps({"target": {"endpoint": "console.show"}})
    for value in (sealed[:-4] + "AAAA", sealed[4:], plain, "", "x"):
        browser = with_cookie(world, CONSOLE, PRE_SESSION_COOKIE, value)
        assert sign_in(world, browser)[1] == "/"
    assert sign_in(world, ada)[1] == "/access/abcdefgh"


def test_s09_a_target_waits_for_ten_minutes(world: World, ada: Browser) -> None:
    """What was asked for is forgotten when the sign-in takes too long."""
    ada.get(f"{CONSOLE}/access/abcdefgh")
    world.clock.advance(minutes=10)
    assert sign_in(world, ada)[1] == "/"


def test_s09_the_hand_off_goes_on_by_a_link_after_the_sign_in(world: World, ada: Browser) -> None:
    """A requester who has to sign in again is shown **Continue to** the instance, and enters by that link."""
    first = world.signed_in()
    request = world.ask(first, "acme")
    link = world.confirm(first)
    departed = ada.get(link).headers["Location"]
    assert ada.get(departed).headers["Location"] == "/login"
    ada.get(f"{CONSOLE}/login")
    assert "Acme Logistics" in ada.text
    led = sign_in(world, ada)[1]
    assert led.startswith("/access/continue?request=")
    ada.get(CONSOLE + led)
    assert "Continue to Acme Logistics" in ada.text
    onward = ada.link(r"/access/enter\?[^\"]+")
    back = ada.get(CONSOLE + onward).headers["Location"]
    assert back.startswith(f"{ACME}/login/return?code=")
    assert ada.get(back, follow=True).status_code == 200
    assert world.request(request.id).state == State.ACTIVE


def test_s09_the_confirmation_goes_on_after_the_sign_in(world: World, ada: Browser) -> None:
    """The mailed link, opened before the sign-in, is what the sign-in leads to."""
    world.ask(world.signed_in(), "acme")
    link = world.confirmation_link()
    assert ada.get(link).headers["Location"] == "/login"
    assert sign_in(world, ada)[1] == f"/access/confirm?key={key_in(link)}"
    assert to_return(ada, world.confirm(ada)).startswith(ACME)
