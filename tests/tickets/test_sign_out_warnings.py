"""What the sign-out page says that ends: requests, temporary accounts, impersonation, each for what it is."""

from __future__ import annotations

from tests.tickets.consent import acting, ask, ask_user, customer, person
from tests.world import CONSOLE, World
from tickets.approve import approve
from tickets.start import start


def test_the_sign_out_page_says_of_each_open_request_what_ends(world: World) -> None:
    """A question is cancelled, an account is deleted, and a user who consented keeps theirs."""
    ada = world.omniadmin()
    customer(world, "acme", require_customer=True)
    customer(world, "birch")
    ask(world, web_id="acme")
    ask(world, web_id="birch")
    consented = ask_user(world, "liam@birch.example", web_id="birch")
    approve(request_id=consented.id, acting=acting(person("liam@birch.example")), runtime=world.runtime)
    start(request_id=consented.id, user_id=ada.id, runtime=world.runtime)
    browser = world.signed_in()
    browser.get(f"{CONSOLE}/logout")
    said = browser.text
    assert "Your request for Acme Logistics is cancelled." in said
    assert "Your access to Birch Health ends, and its account is deleted." in said
    assert "Your access to Birch Health as Liam Byrne ends; their account stays as it is." in said
