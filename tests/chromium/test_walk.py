"""The whole way through the house in a real browser: from signing in at the console to an account that is gone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.chromium.conftest import Visit
from tests.chromium.demo import Demo
from tests.chromium.visitor import Visitor

REASON = "The start page shows an empty banner since the update."
ACCOUNT = re.compile(r"liferay_?online", re.IGNORECASE)


TEMPORARY = """
SELECT users.active FROM users JOIN virtual_instances ON virtual_instances.id = users.instance_id
WHERE users.kind = 'temporary' AND virtual_instances.web_id = ?
"""


def accounts_of(demo: Demo, web_id: str) -> list[int]:
    """An instance's temporary accounts: 1 for each that is active, 0 for each that cannot sign in yet."""
    return [active for (active,) in demo.rows(TEMPORARY, web_id)]


def approved(visitor: Visitor, *who: str) -> None:
    """Have somebody approve the request whose page is open, by command, and start it."""
    answered = visitor.demo.command("access", "approve", visitor.page.url.rpartition("/")[2], "--as", *who)
    assert answered.returncode == 0, answered.stderr
    visitor.page.reload()
    visitor.press("Start")


def confirmed(
    visitor: Visitor, person: dict[str, str], web_id: str, *, name: str, approver: tuple[str, ...] = ()
) -> str:
    """Ask for access and confirm it by the mail's link; the one-time link, whose page is left open."""
    visitor.request_access(web_id, reason=REASON)
    if approver:
        approved(visitor, *approver)
    visitor.goto(visitor.demo.link(person["email"], f"Confirm your administrator access to {name}"))
    visitor.give_code(person, "Confirm")
    return visitor.page.get_by_label("One-time link").input_value()


def test_an_omniadmin_enters_an_instance_and_leaves_nothing_behind(demo: Demo, visit: Visit) -> None:
    """From sign-in by mail, code and one-time link into the control panel, out again, and nothing is left."""
    person, birch = demo.omniadmin("ada"), demo.instance("birch-health")
    ada = visit("walk")
    page = ada.page

    ada.goto("/login")
    ada.shoot("sign-in", everywhere=True)
    ada.give_password(person)
    ada.shoot("second-factor")
    ada.give_code(person, "Verify")
    expect(page.get_by_text("Ada Brandt").first).to_be_visible()
    ada.shoot("console-home", everywhere=True)

    ada.follow("Virtual instances")
    ada.shoot("instances", everywhere=True)
    page.get_by_role("searchbox").fill("birch")
    ada.press("Search")
    expect(page.locator("tbody tr")).to_have_count(1)
    ada.shoot("instances-found")
    ada.follow("Request admin access to Birch Health")
    ada.shoot("request-form", everywhere=True)
    ada.fill(Reason=REASON, External_ticket="HELP-2231")
    page.get_by_label("Duration").select_option(label="1 hour")
    ada.press("Request access")
    approved(ada, "maria@birch.example", "--on", "birch-health")
    expect(page.get_by_text("waiting for your second factor")).to_be_visible()
    story = page.url
    ada.shoot("request-waits", everywhere=True)

    ada.goto(demo.link(person["email"], "Confirm your administrator access to Birch Health"))
    expect(page.get_by_text(REASON)).to_be_visible()
    ada.shoot("confirm", everywhere=True)
    ada.give_code(person, "Confirm")
    link = page.get_by_label("One-time link").input_value()
    assert link.startswith(f"{birch['url']}/login/ticket?key=")
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    ada.shoot("sign-in-link", everywhere=True)
    ada.follow("Sign in to Birch Health")

    assert page.url.startswith(birch["url"])
    banner = page.get_by_role("complementary", name="Support session")
    expect(banner).to_contain_text("You are Ada Brandt, temporary administrator of Birch Health.")
    expect(banner).to_contain_text(re.compile(r"\b(59:\d\d|1:00:00) left"))
    ada.shoot("inside-home", everywhere=True)

    assert accounts_of(demo, "birch-health") == [1]
    ada.follow("Users")
    expect(page.get_by_role("row", name="Maria Lund")).to_be_visible()
    expect(banner).to_be_visible()
    assert not ACCOUNT.search(page.content())
    ada.follow("Invite")
    ada.shoot("inside-invite")
    ada.fill(Full_name="Anna Berg", **{"E.mail": "anna@birch.example"})
    ada.press("Send invitation")
    expect(page.get_by_text("invited in this session")).to_be_visible()
    ada.shoot("inside-users", everywhere=True)
    assert "/welcome?key=" in demo.link("anna@birch.example", "Birch Health")

    ada.follow("Edit Per Holm")
    ada.shoot("inside-edit", everywhere=True)
    ada.fill(Full_name="Per Holmgren")
    ada.press("Save")
    expect(page.get_by_role("row", name="Per Holmgren")).to_be_visible()
    ada.follow("Settings")
    ada.fill(Name="Birch Health Group")
    ada.press("Save")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Birch Health Group")
    ada.shoot("inside-settings", everywhere=True)
    ada.goto(story)
    ada.shoot("request-active", everywhere=True)

    ada.goto(birch["url"])
    ada.press("Log out and delete this account")
    expect(page.get_by_role("heading", name=re.compile("You have left Birch Health"))).to_be_visible()
    ada.shoot("left", everywhere=True)
    assert accounts_of(demo, "birch-health") == []
    ada.goto(f"{birch['url']}/users")
    expect(page.get_by_role("heading", name="Sign in to Birch Health Group")).to_be_visible()
    ada.shoot("sign-in-customer")

    ada.goto(link, status=410)
    ada.shoot("link-is-gone", everywhere=True)
    ada.follow("Open your requests")
    ada.follow("Birch Health")
    assert page.url == story
    for step in ("Requested", "Confirmed with a second factor", "Signed in to Birch Health", "Account deleted"):
        expect(page.get_by_role("listitem").filter(has_text=step)).to_be_visible()
    expect(page.get_by_text("logged out; nothing is left")).to_be_visible()
    ada.shoot("request-ended", everywhere=True)

    verified = demo.command("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert ada.troubles == []


def test_the_watch_for_troubles_sees_a_violation(visit: Visit) -> None:
    """What breaks the content security policy does reach the list that every other test wants empty."""
    watched = visit("watched")
    watched.goto("/login")
    with watched.page.expect_console_message(lambda message: "content security policy: style-src" in message.text):
        watched.page.evaluate("document.body.setAttribute('style', 'color: red')")
    assert any("content security policy: style-src" in trouble for trouble in watched.troubles)
    watched.troubles.clear()


def test_the_way_in_and_out_needs_no_javascript(demo: Demo, visit: Visit) -> None:
    """Without script the same way leads in, shows the banner with the time left, and out."""
    person, cobalt = demo.omniadmin("mira"), demo.instance("cobalt")
    mira = visit("plain", java_script_enabled=False)
    mira.sign_in(person)
    link = confirmed(mira, person, "cobalt", name="Cobalt Energy", approver=("jon@operator.example",))
    expect(mira.page.get_by_role("button", name="Copy")).to_be_hidden()
    mira.shoot("sign-in-link")
    mira.follow("Sign in to Cobalt Energy")
    mira.follow("Users")
    expect(mira.page).to_have_url(f"{cobalt['url']}/users")
    expect(mira.page.locator(".banner")).to_contain_text("You are Mira Okafor, temporary administrator")
    expect(mira.page.locator(".banner-time")).to_contain_text(re.compile(r"(59 min|1 hour) left"))
    mira.shoot("inside-users")
    mira.press("Log out and delete this account")
    expect(mira.page.get_by_role("heading", name="You have left Cobalt Energy")).to_be_visible()
    assert accounts_of(demo, "cobalt") == []
    mira.goto(link, status=410)


def test_a_one_time_link_lets_only_its_owner_in(demo: Demo, visit: Visit) -> None:
    """A second omniadmin who opens it is refused; its owner, even in a browser yet to be signed in to, goes on."""
    owner, other = demo.omniadmin("jon"), demo.omniadmin("ada")
    jon = visit("owner")
    jon.sign_in(owner)
    link = confirmed(jon, owner, "delta", name="Delta Schools")
    ada = visit("other")
    ada.sign_in(other)
    ada.goto(link, status=404)
    ada.shoot("refused")
    assert accounts_of(demo, "delta") == [0]

    elsewhere = visit("elsewhere")
    elsewhere.goto(link)
    expect(elsewhere.page.get_by_role("heading", name="Sign in to the operator console")).to_be_visible()
    expect(elsewhere.page.get_by_text("Delta Schools")).to_be_visible()
    elsewhere.shoot("asked-to-sign-in", everywhere=True)
    elsewhere.give_password(owner)
    elsewhere.give_code(owner, "Verify")
    elsewhere.shoot("continue", everywhere=True)
    elsewhere.follow("Continue to Delta Schools")
    expect(elsewhere.page.locator(".banner")).to_contain_text("You are Jon Reyes")
    assert accounts_of(demo, "delta") == [1]
    jon.goto("/access")
    jon.follow("Delta Schools")
    jon.press("End access")
    expect(jon.page.get_by_text("ended by the requester; nothing is left")).to_be_visible()
    assert accounts_of(demo, "delta") == []
    elsewhere.follow("Users")
    expect(elsewhere.page.get_by_text("Your temporary access here is over")).to_be_visible()
    elsewhere.shoot("access-is-over")
