"""One's own sessions: listed, and ended one by one or all others at once (S20, S23)."""

from __future__ import annotations

from tempadmin.accounts.user_agents import device_words
from tests.accounts.people import ACME, ADA, MIA, alive, answer, member, sessions_of, states
from tests.browser import Browser
from tests.world import CONSOLE, World

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1"


def end(browser: Browser, session_id: int, base: str = ACME) -> int:
    browser.get(base + "/account")
    return browser.post(f"{base}/account/sessions/{session_id}/end").status_code


def test_the_page_lists_where_one_is_signed_in(world: World) -> None:
    """Device, address and times of each; this one is marked and has no button."""
    mia = member(world)
    browser = world.signed_in(MIA, ACME)
    other = world.browser(ACME)
    other.client.environ_base.update(HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="192.0.2.7")
    other.get("/login")
    other.post("/login", {"email": MIA, "password": "a sentence is a good password"})
    browser.get("/account")
    assert "Firefox on Linux 192.0.2.7" in browser.text
    assert browser.text.count("this one") == 1
    mine, theirs = sessions_of(mia)
    assert f"/account/sessions/{theirs.id}/end" in browser.page
    assert f"/account/sessions/{mine.id}/end" not in browser.page


def test_a_session_that_is_over_by_time_is_not_listed(world: World) -> None:
    """Nobody needs to end what cannot act any more."""
    member(world)
    world.signed_in(MIA, ACME)
    world.clock.advance(hours=1)
    browser = world.signed_in(MIA, ACME)
    browser.get("/account")
    assert "End this session" not in browser.page
    assert "End all other sessions" not in browser.page


def test_s20_one_session_is_ended(world: World) -> None:
    """That one, and no other; ending it again changes nothing and says the same."""
    mia = member(world)
    first, second, third = (world.signed_in(MIA, ACME) for _ in range(3))
    chosen = sessions_of(mia)[1].id
    assert [end(first, chosen), end(first, chosen)] == [303, 303]
    assert [alive(one, ACME) for one in (first, second, third)] == [True, False, True]


def test_s20_all_others_are_ended(world: World) -> None:
    """The one that asks goes on; another person's do too."""
    acme = member(world)
    world.user(world.default_instance(), "max@operator.example")
    browsers = [world.signed_in(MIA, ACME) for _ in range(3)]
    stranger = world.signed_in("max@operator.example")
    assert answer(browsers[1], "/account", {"time_zone": ""}) == 303
    browsers[1].get("/account")
    assert browsers[1].post("/account/sessions/end-others").status_code == 303
    assert [alive(one, ACME) for one in browsers] == [False, True, False]
    assert alive(stranger)
    assert len(sessions_of(acme)) == 1


def test_s31_another_persons_session_is_not_there(world: World) -> None:
    """Its number answers 404, on this instance and on any other, and it goes on."""
    acme = world.instance("acme")
    mia, max_ = world.user(acme, MIA), world.user(acme, "max@acme.example")
    ada = world.omniadmin()
    browser, other, console = world.signed_in(MIA, ACME), world.signed_in("max@acme.example", ACME), world.signed_in()
    for person in (max_, ada):
        assert end(browser, sessions_of(person)[0].id) == 404
    assert alive(other, ACME)
    assert alive(console)
    assert len(sessions_of(mia)) == 1


def test_the_session_that_asks_is_not_ended_here(world: World) -> None:
    """Signing out does that, and says what ends with it."""
    mia = member(world)
    browser = world.signed_in(MIA, ACME)
    assert end(browser, sessions_of(mia)[0].id) == 409
    assert "Sign out" in browser.text
    assert alive(browser, ACME)


def test_s23_ending_an_omniadmins_session_ends_the_open_accesses(world: World) -> None:
    """It is a sign-out from afar: whoever sat there is out of the customers' instances too, and the page warns."""
    ada = world.omniadmin()
    world.instance("acme")
    thief, owner = world.signed_in(), world.signed_in()
    world.enter(thief)
    owner.get(CONSOLE + "/account")
    assert "Your access to Acme ends" in owner.text
    assert end(owner, sessions_of(ada)[0].id, CONSOLE) == 303
    assert not alive(thief)
    assert not alive(thief, ACME)
    assert alive(owner)
    assert states(world) == [("ended", "requester_signed_out")]


def test_s25_a_support_session_sees_no_page_of_an_account(world: World) -> None:
    """Neither its own account's nor anybody's: no page opens and no form works."""
    world.omniadmin()
    acme = world.instance("acme")
    mia = world.user(acme, MIA)
    theirs = world.signed_in(MIA, ACME)
    ada = world.signed_in(ADA)
    world.enter(ada)
    pages = ("", "/password", "/second-factor", "/second-factor/remove", "/recovery-codes")
    for page in pages:
        assert ada.get(f"{ACME}/account{page}").status_code == 403
    for page in (*pages, "/sessions/end-others", f"/sessions/{sessions_of(mia)[0].id}/end"):
        ada.get(ACME + "/")
        assert ada.post(f"{ACME}/account{page}").status_code == 403
    assert alive(ada, ACME)
    assert alive(theirs, ACME)


def test_what_a_browser_calls_itself_in_words() -> None:
    """Known browsers and systems are named; nonsense is an unknown device."""
    said = [device_words(text) for text in (FIREFOX, CHROME, SAFARI, "curl/8.5", "<script>", "", None)]
    unknown = "an unknown device"
    assert said == ["Firefox on Linux", "Chrome on Windows", "Safari on iPhone", "curl", unknown, unknown, unknown]
