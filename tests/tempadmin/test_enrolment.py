"""An omniadmin without a second factor gets no page; enrolment opens by the one-time link alone (S13)."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from tempadmin.accounts import invitations, sign_in, totp
from tempadmin.accounts.models import OMNIADMIN, LoginSession, RecoveryCode, SecondFactor, User
from tempadmin.accounts.omniadmins import create_omniadmin, reset_factor
from tempadmin.accounts.sessions import open_session
from tempadmin.audit.log import Actor
from tempadmin.cli import build as build_command
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tempadmin.errors import Forbidden
from tempadmin.web.context import InstanceInfo
from tests.browser import Browser
from tests.tempadmin.conftest import Play
from tests.tempadmin.stage import SESSION_COOKIE, Stage, everything
from tests.tempadmin.test_routes import TABLE
from tests.world import CONSOLE, KEYS, PASSWORD, World

ADA = "ada@operator.example"
LINK = re.compile(r"http://localhost:8000/welcome\?key=[\w.-]+")


@pytest.fixture
def link(world: World) -> str:
    """The one-time link of a new omniadmin."""
    key = create_omniadmin(
        instance_id=world.default_instance().id, email=ADA, full_name="Ada Brandt", runtime=world.runtime
    )
    return invitations.link(_home(), key)


def _home() -> InstanceInfo:
    return InstanceInfo(id=1, web_id="operator", name="Operator", url=CONSOLE, is_default=True)


def seed_on(browser: Browser) -> str:
    return re.sub(r"\s", "", re.search(r'id="secret">([A-Z2-7 ]+)<', browser.page)[1])  # type: ignore[index]


def sealed_on(browser: Browser) -> str:
    return re.search(r'name="sealed"[^>]*value="([^"]+)"', browser.page)[1]  # type: ignore[index]


def enrol(world: World, browser: Browser, link: str, **changes: str) -> int:
    """Fill the welcome page in; return the status."""
    assert browser.get(link).status_code == 200, browser.text
    form = {
        "password": PASSWORD,
        "password_again": PASSWORD,
        "sealed": sealed_on(browser),
        "code": totp.code_at(seed_on(browser), world.clock.now()),
        **changes,
    }
    return browser.post(link, form).status_code


def open_to_nobody_else(browser: Browser, stage: Stage) -> list[tuple[str, int]]:
    """The console's routes, public ones apart, that answer this browser with anything but a refusal."""
    opened = []
    for name, row in TABLE.items():
        method, rule = name.split(" ")
        if row["console"][0] == row["console"][3] or rule == "/logout":
            continue
        url = CONSOLE + row.get("open", rule).format(**stage.words)
        browser.get(CONSOLE + "/login")
        status = (browser.post(url, row.get("form", {})) if method == "POST" else browser.get(url)).status_code
        if status not in (302, 403):
            opened.append((name, status))
    return opened


def test_s13_without_a_second_factor_there_is_no_page(stage: Stage, play: Play) -> None:
    """The right password of an omniadmin without one opens no page of the console and changes nothing."""
    world = play()
    world.user(world.default_instance(), "factorless@operator.example", role=OMNIADMIN)
    browser = world.browser()
    browser.get("/login")
    refused = browser.post("/login", {"email": "factorless@operator.example", "password": PASSWORD})
    assert refused.status_code == 403
    assert browser.get("/login/verify").status_code == 303
    before = everything(world)
    assert open_to_nobody_else(browser, stage) == []
    assert everything(world) == before


def test_s13_neither_half_of_a_sign_in_takes_a_password_alone(world: World) -> None:
    """The first half says so; the second, should the first ever forget it, too."""
    home = world.default_instance().id
    user_id = world.user(world.default_instance(), "factorless@operator.example", role=OMNIADMIN).id
    with pytest.raises(Forbidden, match="has no second factor"):
        sign_in.check_password(
            instance_id=home,
            email="factorless@operator.example",
            password=PASSWORD,
            network="192.0.2.0/24",
            client=sign_in.Client(),
            runtime=world.runtime,
        )
    proof = world.runtime.keys.digest("first-factor", f"{user_id}:{db.session.get_one(User, user_id).password_hash}")
    first = sign_in.FirstFactor(user_id=user_id, proof=proof, needs_code=False)
    with pytest.raises(Forbidden, match="without a second factor"):
        sign_in.finish(first=first, answer=None, client=sign_in.Client(), runtime=world.runtime)
    assert db.session.query(LoginSession).count() == 0


def test_s13_not_even_a_session_opens_a_page_without_a_second_factor(stage: Stage, play: Play) -> None:
    """Wherever a session without one came from, the guard in front of every view refuses an omniadmin's."""
    world = play()
    user = world.user(world.default_instance(), "factorless@operator.example", role=OMNIADMIN)
    with transaction():
        secret = open_session(
            user=user,
            actor=Actor(id=user.id, name=user.full_name),
            now=world.clock.now(),
            lifetime=world.runtime.settings.session_lifetime,
            idle=world.runtime.settings.session_idle,
            runtime=world.runtime,
        )
    browser = world.browser()
    browser.client.set_cookie(SESSION_COOKIE, secret, domain="localhost")
    assert open_to_nobody_else(browser, stage) == []


def test_s13_the_link_enrols_and_shows_ten_recovery_codes_once(world: World, link: str) -> None:
    """Password, device and codes in one visit; afterwards the person signs in with both factors."""
    browser = world.browser()
    assert enrol(world, browser, link) == 200
    codes = re.findall(r"\b(?:[a-z2-9]{7}-){3}[a-z2-9]{7}\b", browser.page)
    assert len(codes) == len(set(codes)) == 10
    again = world.browser()
    assert again.get(link).status_code == 410
    assert codes[0] not in again.page
    stored = {digest for (digest,) in db.session.query(RecoveryCode.digest)}
    assert len(stored) == 10
    assert not any(code in digest for code in codes for digest in stored)


def test_s13_each_recovery_code_works_once(world: World, link: str) -> None:
    """Typed with or without its hyphens, in any case; the second time it is wrong."""
    browser = world.browser()
    enrol(world, browser, link)
    codes = re.findall(r"\b(?:[a-z2-9]{7}-){3}[a-z2-9]{7}\b", browser.page)
    for typed, status in ((codes[0], 303), (codes[0], 400), (codes[1].replace("-", "").upper(), 303), ("x", 400)):
        one = world.browser()
        one.get("/login")
        one.post("/login", {"email": ADA, "password": PASSWORD}, follow=True)
        assert one.post("/login/verify", {"code": typed}).status_code == status


def test_s13_the_link_works_once(world: World, link: str) -> None:
    """Two browsers hold the page; the second to send it is told that the link has done its work."""
    first, second = world.browser(), world.browser()
    second.get(link)
    late = {"password": PASSWORD + "!", "password_again": PASSWORD + "!", "sealed": sealed_on(second)}
    late["code"] = totp.code_at(seed_on(second), world.clock.now())
    assert enrol(world, first, link) == 200
    assert second.post(link, late).status_code == 410
    assert world.browser().get(link).status_code == 410
    assert db.session.query(SecondFactor).count() == 1


def test_s13_the_link_expires(world: World, link: str) -> None:
    """It works up to three days and not at three days."""
    world.clock.advance(days=3, seconds=-1)
    assert world.browser().get(link).status_code == 200
    world.clock.advance(seconds=1)
    assert world.browser().get(link).status_code == 410


def test_s13_the_link_is_worthless_elsewhere(world: World, link: str) -> None:
    """On a customer's host, garbled, or replaced by a newer one it opens nothing."""
    world.instance("acme")
    path = link.removeprefix(CONSOLE)
    assert world.browser().get("http://acme.localhost:8000" + path).status_code == 404
    # Not the last character: two of its bits are no part of the signature.
    garbled = link[:-2] + ("A" if link[-2] != "A" else "B") + link[-1]
    for wrong in (garbled, CONSOLE + "/welcome", CONSOLE + "/welcome?key=x.y"):
        assert world.browser().get(wrong).status_code == 404
    reset_factor(instance_id=1, email=ADA, runtime=world.runtime)
    assert world.browser().get(link).status_code == 410


def test_s02_looking_at_the_link_changes_nothing(world: World, link: str) -> None:
    """GET, HEAD and a POST without cookies, twenty times: the database is unchanged and the link still works."""
    before = everything(world)
    for _ in range(20):
        world.browser().get(link)
        world.browser().get(link, method="HEAD")
        assert world.browser().post(link, {"password": PASSWORD}).status_code == 403
    assert everything(world) == before
    assert enrol(world, world.browser(), link) == 200


@pytest.mark.parametrize("change", [{"code": "000000"}, {"code": ""}, {"password": "short"}, {"password_again": "x"}])
def test_s13_a_wrong_form_uses_nothing_up(change: dict[str, str], world: World, link: str) -> None:
    """The link still works afterwards, and the page still shows the same secret."""
    browser = world.browser()
    assert enrol(world, browser, link, **change) == 400
    assert db.session.query(SecondFactor).count() == 0
    assert enrol(world, world.browser(), link) == 200


def test_s13_the_seed_comes_from_us(world: World, link: str) -> None:
    """A seed from another invitation's form, or one of the browser's own, is not taken."""
    other = create_omniadmin(instance_id=1, email="ben@operator.example", full_name="Ben", runtime=world.runtime)
    browser = world.browser()
    browser.get(invitations.link(_home(), other))
    foreign = {"sealed": sealed_on(browser), "code": totp.code_at(seed_on(browser), world.clock.now())}
    assert enrol(world, world.browser(), link, **foreign) == 400
    assert enrol(world, world.browser(), link, sealed="JBSWY3DPEHPK3PXP") == 400
    assert db.session.query(SecondFactor).count() == 0


def test_s13_the_commands_print_the_link(world: World) -> None:
    """`omniadmin create` and `reset-factor` print one link each; the newer one alone works."""
    world.clock.time = SystemClock().now()
    database = world.runtime.settings.database
    environment = {
        "TEMPADMIN_BASE_URL": CONSOLE,
        "TEMPADMIN_SECRET_KEYS": KEYS[0],
        "TEMPADMIN_DATABASE_URL": database,
    }
    links = []
    for name, *arguments in (("create", "--email", ADA, "--name", "Ada Brandt"), ("reset-factor", ADA)):
        command = ["omniadmin", name, "--data", str(world.runtime.settings.data), *arguments]
        result = CliRunner(env=environment).invoke(build_command(command), command)
        assert result.exit_code == 0, result.output
        links += LINK.findall(result.stdout)
    assert [world.browser().get(one).status_code for one in links] == [410, 200]
    assert enrol(world, world.browser(), links[1]) == 200
