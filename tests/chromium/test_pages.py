"""The pages beside the straight way: what refuses, what is empty, and what people meet before and after."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.chromium.conftest import Visit
from tests.chromium.demo import Demo, wait_for

REASON = "Search finds nothing in Danish; we look at the index settings."


def test_refusals_say_what_happened_and_what_to_do_next(demo: Demo, visit: Visit) -> None:
    """Wrong, used and late answers, unknown addresses and old forms each have a page with a way on."""
    person = demo.omniadmin("jon")
    jon = visit("refusals")
    page = jon.page

    jon.goto("/login")
    with jon.refused(400):
        jon.give_password({**person, "password": "not this one"})
    expect(page.get_by_role("alert")).to_contain_text("not right")
    jon.shoot("wrong-password", everywhere=True)
    jon.give_password(person)
    jon.fill(Authentication_code="000000")
    with jon.refused(400):
        jon.press("Verify")
    jon.shoot("wrong-code-at-sign-in")
    jon.give_code(person, "Verify")

    jon.goto("/nowhere", status=404)
    jon.shoot("404", everywhere=True)
    jon.goto("/instances/acme/request-access")
    with jon.refused(400):
        jon.press("Request access")
    expect(page.get_by_label("Reason")).to_have_attribute("aria-invalid", "true")
    jon.shoot("request-form-errors", everywhere=True)
    jon.request_access("acme", reason=REASON)
    jon.goto("/instances/acme/request-access")
    jon.shoot("already-open")

    jon.goto(demo.link(person["email"], "Confirm your administrator access to Acme Logistics"))
    jon.fill(Authentication_code=demo.device(person["totp_secret"]).code)
    with jon.refused(400):
        jon.press("Confirm")
    expect(page.get_by_text("used already").first).to_be_visible()
    jon.shoot("used-code", everywhere=True)
    confirmation = page.url
    jon.give_code(person, "Confirm")
    expect(page.get_by_label("One-time link")).to_be_visible()
    with jon.refused(409):
        page.reload()
    jon.shoot("confirmed-twice", everywhere=True)
    jon.goto(confirmation, status=409)
    jon.shoot("confirmation-opened-again")

    jon.goto("/access")
    jon.follow("Acme Logistics")
    jon.shoot("request-ready", everywhere=True)
    jon.press("New sign-in link")
    link = page.get_by_label("One-time link").input_value()
    page.go_back()
    jon.press("Cancel")
    expect(page.get_by_text("cancelled; nothing is left")).to_be_visible()
    jon.shoot("request-cancelled")
    jon.goto(link, status=410)
    jon.goto("/logout")
    jon.context.clear_cookies()
    with jon.refused(403):
        jon.press("Sign out")
    jon.shoot("403-old-form", everywhere=True)


def test_guessing_is_slowed_down_and_says_for_how_long(demo: Demo, visit: Visit) -> None:
    """After five wrong passwords the sixth answer is 429, with the seconds to wait on the page."""
    acme = demo.instance("acme")
    guesser = visit("guesser")
    for _ in range(5):
        guesser.goto(f"{acme['url']}/login")
        with guesser.refused(400):
            guesser.give_password({**acme["members"][0], "password": "a guess"})
    with guesser.refused(429):
        guesser.give_password(acme["members"][0])
    expect(guesser.page.get_by_text(re.compile(r"again in \d+ s"))).to_be_visible()
    guesser.shoot("429", everywhere=True)


def test_the_console_has_its_pages_in_order(demo: Demo, visit: Visit) -> None:
    """Lists, empty lists, the record, the jobs, one's own account and the way out stand as they should."""
    mira = visit("console")
    page = mira.page
    mira.sign_in(demo.omniadmin("mira"))
    mira.goto("/access")
    expect(page.get_by_text("You have not asked for access yet.")).to_be_visible()
    mira.shoot("access-mine-empty", everywhere=True)
    mira.follow("All")
    mira.shoot("access-all", everywhere=True)
    mira.follow("Needs attention")
    mira.shoot("access-attention-empty")
    mira.goto("/instances?q=nothing+has+this+name")
    mira.shoot("instances-none-found", everywhere=True)
    mira.goto("/audit")
    mira.shoot("audit", everywhere=True)
    mira.goto("/audit?q=nothing+has+this+name")
    mira.shoot("audit-none-found")
    mira.goto("/jobs")
    mira.shoot("jobs", everywhere=True)
    mira.goto("/account")
    mira.shoot("account", everywhere=True)
    page.get_by_label("Time zone").select_option("Europe/Copenhagen")
    mira.press("Save")
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Copenhagen")
    mira.request_access("elm-bank", reason=REASON)
    mira.goto("/instances")
    mira.shoot("instances-busy", everywhere=True)
    mira.goto("/logout")
    expect(page.get_by_text("Elm Bank")).to_be_visible()
    mira.shoot("sign-out", everywhere=True)
    mira.press("Sign out")
    expect(page.get_by_role("heading", name="Sign in to the operator console")).to_be_visible()
    ended = "SELECT 1 FROM access_requests WHERE instance_name = 'Elm Bank' AND end_reason = 'requester_signed_out'"
    wait_for(lambda: demo.rows(ended) or None, "the request's end")


def test_a_new_omniadmin_is_led_through_enrolment(demo: Demo, visit: Visit) -> None:
    """The link from the command line shows a QR code, the secret and, once, ten recovery codes; then one signs in."""
    made = demo.command("omniadmin", "create", "--email", "nia@operator.example", "--name", "Nia Field")
    assert made.returncode == 0, made.stderr
    (link,) = set(re.findall(r"http\S+/welcome\?key=\S+", made.stdout))
    nia = visit("newcomer")
    page = nia.page
    nia.goto(link)
    expect(page.locator(".qr svg")).to_be_visible()
    nia.shoot("welcome", everywhere=True)
    secret = page.locator("#secret").inner_text().replace(" ", "")
    person = {"email": "nia@operator.example", "password": "seven grey herons wait", "totp_secret": secret}
    nia.fill(Password=person["password"], Password_again="another sentence", Authentication_code="000000")
    with nia.refused(400):
        nia.press("Set up my account")
    nia.shoot("welcome-errors")
    assert page.locator("#secret").inner_text().replace(" ", "") == secret
    nia.fill(Password=person["password"], Password_again=person["password"])
    nia.give_code(person, "Set up my account")
    expect(page.locator("#codes li")).to_have_count(10)
    nia.shoot("recovery-codes", everywhere=True)
    nia.goto(link, status=410)
    nia.shoot("invitation-is-used")
    nia.sign_in(person)
    expect(page.get_by_text("Nia Field").first).to_be_visible()


def test_a_customers_people_have_their_own_pages(demo: Demo, visit: Visit) -> None:
    """An administrator invites, and deactivates; whoever is invited sets up an account; a member manages nothing."""
    cobalt = demo.instance("cobalt")
    noor = visit("customer")
    noor.sign_in(cobalt["administrators"][0], at=cobalt["url"])
    noor.shoot("home")
    noor.follow("Users")
    noor.follow("Invite")
    with noor.refused(400):
        noor.press("Send invitation")
    noor.shoot("invite-errors", everywhere=True)
    noor.fill(Full_name="Ines Prado", **{"E.mail": "ines@cobalt.example"})
    noor.press("Send invitation")
    noor.shoot("users", everywhere=True)
    noor.follow("Edit Emil Wirth")
    noor.shoot("edit")
    noor.press("Deactivate this user")
    expect(noor.page.get_by_text("deactivated", exact=True)).to_be_visible()
    noor.shoot("users-deactivated")
    noor.goto(f"{cobalt['url']}/instances", status=404)

    ines = visit("invited")
    ines.goto(demo.link("ines@cobalt.example", "Cobalt Energy"))
    ines.shoot("welcome", everywhere=True)
    ines.fill(Password="nine amber lamps glow", Password_again="nine amber lamps glow")
    ines.press("Set up my account")
    ines.shoot("ready")
    ines.sign_in({"email": "ines@cobalt.example", "password": "nine amber lamps glow"}, at=cobalt["url"])
    ines.shoot("member-home", everywhere=True)
    ines.goto(f"{cobalt['url']}/users", status=403)
    ines.shoot("403")
