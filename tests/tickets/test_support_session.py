"""The page of a support session whose account is used elsewhere: what it shows, to whom, and how often (P5, P12)."""

from __future__ import annotations

import re

import pytest

from instances.connectors.base import ConnectorError
from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.outbox.queue import deliver_due
from tests.browser import Browser
from tests.conftest import Build
from tests.tickets.evidence import dump
from tests.tickets.faraway import there
from tests.tickets.scenes import Scene, bring
from tests.tickets.vault import Vault, put_in, raising, scene_with
from tests.world import CONSOLE, PASSWORD, World
from tickets.states import State

pytestmark = pytest.mark.only_sqlite  # what pages say does not depend on the database

PAGE, SHOW, AGAIN = "/support-session", "/support-session/password", "/support-session/try-again"


@pytest.fixture
def vault(world: World) -> Vault:
    return put_in(world)


def went_in(world: World, vault: Vault, **moods: ConnectorError) -> tuple[Scene, Browser]:
    """Somebody whose one-time link led them to the page."""
    scene = scene_with(world, vault)
    bring(world, scene, State.READY)
    for step, error in moods.items():
        vault.before[step] = raising(error)
    browser = scene.browser(world)
    assert browser.get(scene.link, follow=True).status_code == 200, browser.trail
    return scene, browser


def password_of(world: World, vault: Vault, scene: Scene) -> str:
    return vault.passwords[world.request(scene.request_id).account_name or ""]


def test_the_page_says_who_one_is_until_when_and_how_to_get_in(world: World, vault: Vault) -> None:
    """The link leads here; the user name can be copied, the password waits to be asked for."""
    scene, browser = went_in(world, vault)
    assert browser.url == scene.base + PAGE
    name = world.request(scene.request_id).account_name
    assert f'value="{name}" readonly' in browser.page
    for words in ("Ada Brandt", scene.host, "in 1 hour", "vault.example", f"as {name}", "Show the password"):
        assert words in browser.text, words
    assert password_of(world, vault, scene) not in browser.page
    assert "Without a click" not in browser.text


def test_p12_the_password_is_shown_once(world: World, vault: Vault) -> None:
    """In the answer to the button and never again: a second click, a reload, Back and another tab are told so."""
    scene, browser = went_in(world, vault)
    other_tab, token = browser.page, browser.token
    password = password_of(world, vault, scene)
    answer = browser.post(SHOW)
    assert answer.status_code == 200
    assert f'value="{password}" readonly' in browser.page
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Show the password" in other_tab
    for _ in range(2):
        again = browser.post(scene.base + SHOW, token=token)
        assert again.status_code == 409
        assert password not in again.text
        assert "log out and delete this account, then ask again" in browser.text
    browser.get(scene.base + PAGE)
    assert password not in browser.page
    assert "was shown" in browser.text
    assert browser.get(scene.base + SHOW).status_code == 404


def test_p12_the_password_is_nowhere_else(capfd: pytest.CaptureFixture[str], build: Build) -> None:
    """No row, event, activity, mail or log holds it in plain, before it was shown, after that, and after the end."""
    world = build()
    vault = put_in(world)
    scene, browser = went_in(world, vault)
    password = password_of(world, vault, scene)
    rows = [str(dump(world))]
    browser.post(SHOW)
    deliver_due(world.runtime)
    rows.append(str(dump(world)))
    browser.get(scene.base + PAGE)
    browser.post(scene.base + "/support-session/leave", follow=True)
    deliver_due(world.runtime)
    rows += [str(dump(world)), *world.mails(), browser.text, *browser.trail]
    logged = capfd.readouterr()
    assert "access.credential_shown" in rows[1]
    assert "Had the account's password shown" in rows[1]
    assert SHOW in logged.err
    assert [text for text in (*rows, logged.out, logged.err) if password in text] == []


def test_p5_nobody_else_sees_the_password(world: World, vault: Vault) -> None:
    """Not the customer's administrator, not a second omniadmin, not somebody who guesses the addresses."""
    scene, browser = went_in(world, vault)
    password = password_of(world, vault, scene)
    instance = db.session.get_one(VirtualInstance, scene.instance_id)
    world.administrator(instance, "rosa@customer.example")
    world.omniadmin("bea@operator.example", "Bea Lund")
    rosa = world.signed_in("rosa@customer.example", scene.base)
    bea = world.signed_in("bea@operator.example")
    for person, pages in (
        (rosa, [PAGE, "/support-access", f"/support-access/{scene.public_id}"]),
        (bea, [f"/access/{scene.public_id}", "/audit", PAGE]),
        (world.browser(scene.base), [PAGE, "/login"]),
    ):
        for page in pages:
            person.get(page)
            assert password not in person.page, page
        home = person.url if person is not rosa else scene.base + "/"
        person.get(home)
        assert person.post(SHOW).status_code in (403, 404)
    assert world.request(scene.request_id).credential_shown_at is None
    assert browser.post(SHOW).status_code == 200


def test_p3_after_the_end_the_page_is_gone(world: World, vault: Vault) -> None:
    """The old cookie finds nothing, the account is gone, and the page that follows says so."""
    scene, browser = went_in(world, vault)
    token = browser.token
    browser.post("/support-session/leave", follow=True)
    assert "being deleted now" in browser.text
    assert there(world) == []
    browser.client.set_cookie("tempadmin_session", scene.support or "x", domain=scene.host)
    assert browser.get(scene.base + PAGE).headers["Location"].endswith("/login")
    assert browser.post(scene.base + SHOW, token=token).status_code == 403


def test_a_password_that_lets_nobody_in_yet_is_not_shown(world: World, vault: Vault) -> None:
    """First the directory has to say yes: else the password would be used up before the account can have it."""
    scene, browser = went_in(world, vault, enable=ConnectorError("the group admins does not exist", permanent=True))
    assert "the group admins does not exist" in browser.text
    assert "not tried again by itself" in browser.text
    assert "Show the password" not in browser.text
    assert browser.post(SHOW).status_code == 409
    console = scene.browser(world)
    assert "the group admins does not exist" in console.text
    browser.get(scene.base + PAGE)
    browser.post(AGAIN, follow=True)
    assert "Your account is let in now." in browser.text
    assert browser.post(SHOW).status_code == 200
    assert password_of(world, vault, scene) in browser.page
    assert browser.post(AGAIN).status_code == 409


def test_s20_no_idle_limit_where_nobody_here_sees_a_click(world: World, vault: Vault) -> None:
    """The time limit holds, and says so; in our own pages the idle limit stays what it was."""
    from tickets.expire import expire_due

    scene, browser = went_in(world, vault)
    world.clock.advance(minutes=59)
    expire_due(world.runtime)
    assert browser.get(scene.base + PAGE).status_code == 200
    console = scene.browser(world)
    assert "no idle limit applies" in console.text
    world.clock.advance(minutes=1)
    expire_due(world.runtime)
    request = world.request(scene.request_id)
    assert (request.state, request.end_reason) == (State.ENDED, "time_limit")


def test_the_words_fit_the_way_in(world: World, vault: Vault) -> None:
    """Asked for, confirmed, mailed and inside: each says that there will be a password."""
    scene = scene_with(world, vault)
    ada = scene.browser(world)
    promise = "You will get a password, shown to you once"
    ada.get(f"{CONSOLE}/instances/{scene.web_id}/request-access")
    assert promise in ada.text
    bring(world, scene, State.AWAITING_CONFIRMATION)
    deliver_due(world.runtime)
    assert promise in " ".join(world.mails()[-1].split())
    ada.get(f"{CONSOLE}/access/confirm?key={scene.confirm_key}")
    assert promise in ada.text
    ada.post("", {"code": world.code()})
    assert promise in ada.text


def test_the_customer_is_told_what_is_not_seen_here(world: World, vault: Vault) -> None:
    """What is done in a product is in its own records: Support access and the mail do not look as if they knew it."""
    scene = scene_with(world, vault)
    world.administrator(db.session.get_one(VirtualInstance, scene.instance_id), "rosa@customer.example")
    bring(world, scene, State.READY)
    scene.browser(world).get(scene.link, follow=True)
    rosa = world.signed_in("rosa@customer.example", scene.base)
    rosa.get("/support-access")
    assert "is in its own records, and not here" in rosa.text
    deliver_due(world.runtime)
    inside = next(mail for mail in world.mails() if "is now inside" in mail)
    assert "is in its own records" in " ".join(inside.split())


def test_a_password_can_be_typed_and_has_137_bits(world: World, vault: Vault) -> None:
    """Six groups of four signs that nobody takes for one another; small, capital, digit; never twice."""
    from tickets.credential import ALPHABET, new_password

    drawn = {new_password() for _ in range(300)}
    assert len(drawn) == 300
    assert len(ALPHABET) ** 24 > 2**138
    assert not set("0O1lIio") & set(ALPHABET)
    for one in drawn:
        assert re.fullmatch(f"([{ALPHABET}]{{4}}-){{5}}[{ALPHABET}]{{4}}", one)
        assert re.search("[a-z]", one)
        assert re.search("[A-Z]", one)
        assert re.search("[0-9]", one)
    assert PASSWORD not in drawn
