"""Pages that are older than the world: the back button, buttons that come too late, forms that were slowed down."""

from __future__ import annotations

import pytest

from instances import registry
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tests.browser import Browser
from tests.tempadmin.stage import everything
from tests.world import CONSOLE, World

ACME = "http://acme.localhost:8000"


def stale(answer: Browser, *, status: int, says: str, public_id: str) -> None:
    """A 409 that says how the request stands and leads to its page."""
    assert status == 409, answer.trail[-1]
    assert says in answer.text
    assert f'href="/access/{public_id}"' in answer.page


@pytest.mark.parametrize("button", ["send-again", "cancel", "end", "new-link"])
def test_a_stale_button_says_how_the_request_stands(button: str, world: World, acme: VirtualInstance) -> None:
    """Pressed after the request was cancelled in another tab: the present state, and the way to the page."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    token = ada.token
    ada.post(f"/access/{request.public_id}/cancel", follow=True)
    before = everything(world)
    answer = ada.post(f"/access/{request.public_id}/{button}", token=token)
    says = "The request is now: cancelled; nothing is left."
    stale(ada, status=answer.status_code, says=says, public_id=request.public_id)
    assert everything(world) == before


def test_p3_the_back_button_shows_and_does_nothing_after_leaving(world: World, acme: VirtualInstance) -> None:
    """No page of a support session may be stored, and a form of one that is still on the screen changes nothing."""
    ada = world.signed_in()
    world.enter(ada)
    page = ada.get(f"{ACME}/users/invite")
    assert page.headers["Cache-Control"] == "no-store"
    token = ada.token
    form = {"full_name": "Kai Berg", "email": "kai@acme.example", "role": "member"}
    ada.post(f"{ACME}/support-session/leave", follow=True)
    assert "You have left Acme Logistics" in ada.text
    before = everything(world)
    assert ada.post(f"{ACME}/users/invite", form, token=token).status_code == 403
    assert "Nothing was changed" in ada.text
    assert ada.post(f"{ACME}/support-session/leave", token=token).status_code == 403
    assert ada.get(f"{ACME}/users").headers["Location"].endswith("/login")
    assert everything(world) == before


def test_s12_five_wrong_codes_keep_the_form_and_say_for_how_long(world: World, acme: VirtualInstance) -> None:
    """The confirmation page comes back with the pause above its form; after it the right code is taken."""
    ada = world.signed_in()
    world.ask(ada, "acme")
    link = world.confirmation_link()
    ada.get(link)
    for _ in range(5):
        assert ada.post(link, {"code": "000000"}).status_code == 400
    answer = ada.post(link, {"code": world.code()})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 31
    assert "Too many wrong answers. Try again in" in ada.text
    assert 'name="code"' in ada.page
    world.clock.advance(seconds=31)
    assert ada.post(link, {"code": world.next_code()}).status_code == 200


def test_s12_a_slowed_down_sign_in_keeps_what_was_typed(world: World) -> None:
    """The address stays in its field; the password never comes back."""
    browser = world.browser()
    browser.get("/login")
    form = {"email": "nobody@operator.example", "password": "not a password at all"}
    answers = [browser.post("/login", form).status_code for _ in range(6)]
    assert answers == [400] * 5 + [429]
    assert 'value="nobody@operator.example"' in browser.page
    assert "not a password at all" not in browser.page


def test_an_archived_instance_is_no_target_for_a_form_that_was_open(world: World, acme: VirtualInstance) -> None:
    """Default, archived and unknown instances are refused in words, at the form and at its sending."""
    ada = world.signed_in()
    ada.get(f"{CONSOLE}/instances/acme/request-access")
    token = ada.token
    registry.archive_instance(web_id="acme", actor=SERVICE, runtime=world.runtime)
    form = {"reason": "The start page is empty.", "duration": "3600"}
    for web_id, status, says in (
        ("acme", 404, "This instance was archived."),
        ("nothing", 404, "There is no such instance."),
        ("operator", 409, "you are there already"),
    ):
        for answer in (
            ada.get(f"{CONSOLE}/instances/{web_id}/request-access"),
            ada.post(f"{CONSOLE}/instances/{web_id}/request-access", form, token=token),
        ):
            assert answer.status_code == status
            assert says in ada.text
