"""A lost device: a new one takes its place by the link that reset-factor prints, and what the old one opened ends."""

from __future__ import annotations

from tempadmin.accounts import totp
from tempadmin.accounts.invitations import link as link_of
from tempadmin.accounts.omniadmins import reset_factor
from tempadmin.web.context import instance_source
from tests.tempadmin.test_enrolment import ADA, sealed_on, seed_on
from tests.world import CONSOLE, PASSWORD, World

ACME = "http://acme.localhost:8000"


def new_link(world: World) -> str:
    home = instance_source().default()
    assert home is not None
    return link_of(home, reset_factor(instance_id=home.id, email=ADA, runtime=world.runtime))


def enrol_again(world: World, link: str, password: str = PASSWORD) -> int:
    """Open the link in a browser of its own and give it the present password and a new device's code."""
    browser = world.browser()
    assert browser.get(link).status_code == 200, browser.text
    code = totp.code_at(seed_on(browser), world.clock.now())
    return browser.post(link, {"password": password, "sealed": sealed_on(browser), "code": code}).status_code


def test_s13_a_new_device_takes_the_old_ones_place(world: World) -> None:
    """The link asks for the present password; afterwards the old device's codes are wrong."""
    world.omniadmin()
    assert enrol_again(world, new_link(world)) == 200
    browser = world.browser()
    browser.get("/login")
    browser.post("/login", {"email": ADA, "password": PASSWORD}, follow=True)
    assert browser.post("/login/verify", {"code": world.next_code()}).status_code == 400


def test_s13_the_link_alone_is_not_enough(world: World) -> None:
    """Whoever finds the link needs the password too; the old device still works after a wrong one."""
    world.omniadmin()
    assert enrol_again(world, new_link(world), password="not her password") == 400
    world.signed_in()


def test_s12_the_password_cannot_be_guessed_behind_the_link(world: World) -> None:
    """Wrong passwords on this page start the same pause as wrong passwords at sign-in."""
    world.omniadmin()
    link = new_link(world)
    statuses = [enrol_again(world, link, password=f"guess number {number}") for number in range(8)]
    assert 429 in statuses


def test_s23_a_new_device_ends_sessions_and_accesses(world: World) -> None:
    """Whoever held the old device is out at once: on the console, and inside every customer's instance."""
    world.omniadmin()
    world.instance("acme")
    ada = world.signed_in()
    request = world.enter(ada, "acme")
    assert enrol_again(world, new_link(world)) == 200
    assert ada.get(CONSOLE + "/").status_code == 302
    assert ada.get(ACME + "/").status_code == 302
    assert world.request(request.id).state in ("ending", "ended")
