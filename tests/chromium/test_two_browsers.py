"""Two people at two browsers: support asks, the customer answers, watches, ends; the same with a user's consent."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.chromium.conftest import Visit
from tests.chromium.demo import Demo

REASON = "Search finds nothing in Danish; we need to look at the index settings."


def test_a_customer_is_asked_watches_and_ends(demo: Demo, visit: Visit) -> None:
    """Ask first is switched on, asked, approved, entered, watched without a reload, ended, and refused from then on."""
    person, acme = demo.omniadmin("ada"), demo.instance("acme")
    customer = acme["administrators"][0]
    maria, ada = visit("customer"), visit("support")
    maria.sign_in(customer, at=acme["url"])
    maria.follow("Support access")
    maria.shoot("support-access-before", everywhere=True)
    maria.page.get_by_label("Ask us first").check()
    maria.page.get_by_label("Longest access").select_option(label="2 hours")
    maria.press("Save")
    expect(maria.page.get_by_text("Saved.")).to_be_visible()

    ada.sign_in(person)
    ada.goto("/instances/acme/request-access")
    expect(ada.page.get_by_text("must approve it first")).to_be_visible()
    ada.request_access("acme", reason=REASON, ticket="HELP-2240", duration="30 min")
    story = ada.page.url
    expect(ada.page.get_by_text("Waiting for an administrator of")).to_be_visible()
    ada.shoot("waits-for-the-customer", everywhere=True)
    assert demo.link(customer["email"], "asks for administrator access") == f"{acme['url']}/support-access"

    maria.follow("Users")
    question = maria.page.get_by_role("complementary", name="Your provider asks")
    expect(question).to_contain_text("Ada Brandt asks for admin access")
    expect(question).to_contain_text(person["email"])
    maria.shoot("asked-on-every-page", everywhere=True)
    maria.follow("Support access")
    maria.shoot("support-access-asked", everywhere=True)
    maria.page.get_by_label("Note, optional").fill("Only the search, please.")
    maria.press("Approve")
    expect(maria.page.get_by_text("You approved it")).to_be_visible()

    ada.goto(demo.link(person["email"], "is approved"))
    assert ada.page.url == story
    expect(ada.page.get_by_text("Only the search, please.")).to_be_visible()
    ada.shoot("approved", everywhere=True)
    ada.press("Start")
    ada.goto(demo.link(person["email"], "Confirm your administrator access"))
    ada.give_code(person, "Confirm")
    ada.page.get_by_role("link", name=re.compile("^Sign in to Acme")).click()
    assert ada.page.url.startswith(acme["url"])
    ada.follow("Users")
    with ada.refused(404):
        ada.page.goto(f"{acme['url']}/users/999999")

    inside = maria.page.get_by_role("region", name="Ada Brandt is inside now")
    expect(inside).to_contain_text("Looked at users", timeout=15_000)
    expect(inside).to_contain_text("404")
    maria.shoot("watching", everywhere=True)
    ada.goto(f"{acme['url']}/settings")
    expect(inside).to_contain_text("Looked at settings", timeout=15_000)
    maria.press("End access")
    expect(maria.page.get_by_text("The access of Ada Brandt is over.")).to_be_visible()
    expect(inside).to_have_count(0)

    ada.page.goto(f"{acme['url']}/users")
    expect(ada.page).to_have_url(f"{acme['url']}/login")
    ada.shoot("refused-after-the-end")
    ada.goto(story)
    expect(ada.page.get_by_text("Ended by the customer", exact=True)).to_be_visible()
    maria.page.get_by_role("table").last.get_by_role("link").first.click()
    expect(maria.page.get_by_text("Looked at settings")).to_be_visible()
    maria.shoot("record-of-an-access", everywhere=True)
    assert demo.command("audit", "verify").returncode == 0
    assert ada.troubles == []
    assert maria.troubles == []


def test_a_user_lets_support_see_what_they_see(demo: Demo, visit: Visit) -> None:
    """The user, asked by a banner, approves; support sees their pages under another banner; the user ends it."""
    person, cobalt = demo.omniadmin("ada"), demo.instance("cobalt")
    member = cobalt["members"][0]
    user, ada = visit("user"), visit("support-sees")
    user.sign_in(member, at=cobalt["url"])
    ada.sign_in(person)
    ada.goto("/instances/cobalt/request-impersonation")
    ada.shoot("ask-to-see", everywhere=True)
    ada.fill(**{"User.s e.mail": "nobody@cobalt.example"}, Reason=REASON)
    with ada.refused(400):
        ada.press("Request impersonation")
    expect(ada.page.get_by_text("Nobody with exactly this e-mail").first).to_be_visible()
    ada.fill(**{"User.s e.mail": member["email"]})
    ada.press("Request impersonation")
    expect(ada.page.get_by_text(re.compile("^Waiting for"))).to_be_visible()
    story = ada.page.url

    user.goto(cobalt["url"])
    question = user.page.get_by_role("complementary", name="Your provider asks")
    expect(question).to_contain_text("Ada Brandt asks to see what you see")
    expect(question).to_contain_text(REASON)
    user.shoot("asked", everywhere=True)
    user.press("Approve")

    ada.goto(story)
    ada.press("Start")
    ada.goto(demo.link(person["email"], "Confirm"))
    ada.give_code(person, "Confirm")
    ada.page.get_by_role("link", name=re.compile("^Sign in to Cobalt")).click()
    banner = ada.page.get_by_role("complementary", name="Support session")
    expect(banner).to_contain_text(f"as {member['email']}".removeprefix("as "))
    expect(banner.get_by_role("button", name="Stop impersonating")).to_be_visible()
    ada.shoot("sees", everywhere=True)
    with ada.refused(403):
        ada.page.goto(f"{cobalt['url']}/account")

    user.goto(cobalt["url"])
    watched = user.page.get_by_role("complementary", name="Somebody sees what you see")
    expect(watched).to_contain_text("Ada Brandt")
    user.shoot("watched", everywhere=True)
    user.press("End access")
    expect(user.page.get_by_text("The access of Ada Brandt is over.")).to_be_visible()
    user.shoot("over", everywhere=True)
    ada.page.goto(cobalt["url"])
    expect(ada.page).to_have_url(f"{cobalt['url']}/login")
    ada.goto(story)
    expect(ada.page.get_by_text("Ended by the user", exact=True)).to_be_visible()
    ada.shoot("ended-by-the-user")
    assert ada.troubles == []
    assert user.troubles == []
