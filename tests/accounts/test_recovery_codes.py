"""Recovery codes: single use, told by mail, replaced with the factor alone (S01, S14)."""

from __future__ import annotations

from tests.accounts.people import answer, codes_on, first_factor, gets_in, old_code, subjects
from tests.browser import Browser
from tests.world import CONSOLE, World

PATH = "/account/recovery-codes"
USED = "A recovery code of yours was used at Operator"


def new_codes(world: World, browser: Browser) -> list[str]:
    assert answer(browser, CONSOLE + PATH, {"code": old_code(world)}) == 200
    return codes_on(browser)


def test_s14_new_codes_need_the_factor_and_are_shown_once(world: World) -> None:
    """A wrong code shows none; the account's page does not show them again."""
    world.omniadmin()
    browser = world.signed_in()
    assert answer(browser, PATH, {"code": "000000"}) == 400
    assert codes_on(browser) == []
    codes = new_codes(world, browser)
    assert len(set(codes)) == 10
    browser.get("/account")
    assert codes_on(browser) == []
    assert "10 left" in browser.text
    assert subjects(world) == ["You have new recovery codes at Operator"]


def test_s14_old_codes_are_void_and_new_ones_work_once(world: World) -> None:
    """One of each is tried, the new one twice."""
    world.omniadmin()
    browser = world.signed_in()
    former, new = new_codes(world, browser)[0], new_codes(world, browser)[0]
    assert not gets_in(world, code=former)
    assert gets_in(world, code=new)
    assert not gets_in(world, code=new)


def test_a_code_used_at_sign_in_is_told_by_mail(world: World) -> None:
    """Once, with how many are left; a code that is refused is not told."""
    world.omniadmin()
    code = new_codes(world, world.signed_in())[0]
    first_factor(world).post("/login/verify", {"code": code})
    first_factor(world).post("/login/verify", {"code": code})
    assert subjects(world).count(USED) == 1
    assert "9 are left" in world.mails()[-1]


def test_a_code_used_at_the_confirmation_is_told_by_mail(world: World) -> None:
    """Whoever uses it up there, the owner hears of it."""
    world.omniadmin()
    world.instance("acme")
    browser = world.signed_in()
    code = new_codes(world, browser)[0]
    world.ask(browser, "acme")
    link = world.confirmation_link()
    browser.get(link)
    assert browser.post(link, {"code": code.upper()}).status_code == 200
    assert subjects(world)[-1] == USED


def test_a_code_can_bring_a_new_device(world: World) -> None:
    """A lost phone: sign in with one code and make new ones with another, without anybody's help."""
    world.omniadmin()
    codes = new_codes(world, world.signed_in())
    browser = first_factor(world)
    browser.post("/login/verify", {"code": codes[0]}, follow=True)
    assert answer(browser, PATH, {"code": codes[1]}) == 200
    assert len(codes_on(browser)) == 10
