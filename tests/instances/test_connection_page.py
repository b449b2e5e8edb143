"""The page of an instance's connection: a form for each kind of directory, tried before it is saved."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask

from instances import connections
from instances.connection_facts import Fact, connection_facts
from instances.connectors.drill import Fault, set_fault
from instances.models import VirtualInstance
from tempadmin.db import db
from tests.browser import Browser
from tests.instances.cabinet import CABINET, PASSWORD, TOKEN, Cabinet, CabinetSettings, put_up
from tests.instances.conftest import last_event
from tests.world import World

pytestmark = pytest.mark.only_sqlite  # what a page shows does not depend on the database

PAGE = "/instances/birch-health/connection"
FORM = f"{PAGE}?connector={CABINET}"
TYPED = {
    "setting_url": "https://cabinet.example/",
    "setting_token": TOKEN,
    "setting_groups": "admins\r\n\r\n staff ",
    "setting_drawer": "7",
    "setting_verify": "y",
    "setting_mode": "thorough",
    "setting_drawers": "top = A–K\nlow=L–Z = rest",
    "setting_ca_file": "one line\r\nand another\r\n",
}


@pytest.fixture
def cabinet(world: World, birch: VirtualInstance) -> Cabinet:
    return put_up(world.app)


@pytest.fixture
def ada(world: World, cabinet: Cabinet) -> Browser:
    """An omniadmin before the form."""
    world.omniadmin()
    browser = world.signed_in()
    assert browser.get(FORM).status_code == 200
    return browser


def send(browser: Browser, **changes: str | None) -> int:
    """Send the form; a change to ``None`` leaves a field out."""
    typed = {**TYPED, **{f"setting_{name}": value for name, value in changes.items()}}
    typed |= {name: value for name, value in changes.items() if name.startswith("forget_")}
    return browser.post(FORM, {name: value for name, value in typed.items() if value is not None}).status_code


def beside(browser: Browser, name: str) -> str:
    """What is wrong with a field, as it stands below it."""
    found = re.search(rf'id="setting_{name}-error"[^>]*>([^<]*)<', browser.page)
    return unescape(found[1]) if found else ""


def value_of(browser: Browser, name: str) -> str | None:
    tag = re.search(rf'<input[^>]*id="setting_{name}"[^>]*>', browser.page)
    found = re.search(r' value="([^"]*)"', tag[0]) if tag else None
    return unescape(found[1]) if found else None


def stored(birch: VirtualInstance) -> CabinetSettings | None:
    db.session.rollback()
    return connections.read(birch.id, CabinetSettings) if connections.stored(birch.id) else None


def test_a_connection_is_tried_saved_and_shown(world: World, ada: Browser, birch: VirtualInstance) -> None:
    """Each field is read as what it is; the steps are shown, the secrets only by their date, the person on record."""
    assert send(ada) == 200
    assert "The drill directory answers. Saved." in ada.text
    settings = stored(birch)
    assert settings is not None
    assert settings.model_dump(exclude={"token"}) == {
        "url": "https://cabinet.example",
        "groups": ["admins", "staff"],
        "password": None,
        "drawer": 7,
        "key_url": None,
        "verify": True,
        "mode": "thorough",
        "drawers": {"top": "A–K", "low": "L–Z = rest"},
        "ca_file": "one line\nand another",
    }
    ada.get(PAGE)
    assert (value_of(ada, "url"), value_of(ada, "token")) == ("https://cabinet.example", "")
    assert "admins\nstaff</textarea>" in ada.page.replace("\r", "")
    assert "What opens it. Set on 22 Nov 2026, 10:0" in ada.text
    assert last_event(birch.id).actor_name == "Ada Brandt"


def test_each_wrong_setting_stands_beside_its_field_and_nothing_typed_is_lost(
    ada: Browser, birch: VirtualInstance
) -> None:
    """All at once; what was typed comes back, but the secret, of which the page says so (P12)."""
    assert send(ada, url="cabinet", drawer="many", groups="", mode="slow", password=PASSWORD) == 400
    assert beside(ada, "url") == "Is no https address."
    assert beside(ada, "drawer").startswith("Input should be a valid integer")
    assert beside(ada, "groups") == "Is missing."
    assert beside(ada, "mode").startswith("Input should be 'quick' or 'thorough'")
    assert (value_of(ada, "url"), value_of(ada, "drawer")) == ("cabinet", "many")
    assert ada.text.count("It is never sent back, so give it again.") == 2
    assert [secret for secret in (TOKEN, PASSWORD) if secret in unescape(ada.page)] == []
    assert stored(birch) is None


def test_what_failed_stands_beside_its_setting(ada: Browser, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """What was tried, what came back, without the secret that came back with it (P12); and nothing was saved."""
    assert send(ada, token="wr0ng") == 400
    assert beside(ada, "token") == "GET https://cabinet.example/Me: answered 401, “bad token ***”."
    assert "wr0ng" not in ada.page
    assert send(ada, url="https://nowhere.example") == 400
    assert "The connector cabinet failed: RuntimeError." in ada.text
    assert stored(birch) is None


def test_a_secret_stays_until_it_is_forgotten(ada: Browser, birch: VirtualInstance) -> None:
    """An empty field keeps it; a box beside it lets it go where it is not needed; another address needs it again."""
    assert send(ada, password=PASSWORD) == 200
    assert send(ada, token=None, drawer="8") == 200
    kept = stored(birch)
    assert kept is not None
    assert (kept.drawer, kept.token.get_secret_value(), kept.password is not None) == (8, TOKEN, True)
    assert "forget_token" not in ada.page
    assert send(ada, token=None, forget_password="y") == 200
    gone = stored(birch)
    assert gone is not None
    assert gone.password is None
    assert "forget_password" not in ada.page
    assert send(ada, token=None, url="https://elsewhere.example") == 400
    assert "given for another directory" in beside(ada, "token")


def test_check_shows_each_step_of_what_is_stored(
    world: World, ada: Browser, cabinet: Cabinet, birch: VirtualInstance
) -> None:
    """And the first that fails, by its setting; what is stored stays as it is."""
    send(ada)
    before = stored(birch)
    assert ada.post(f"{PAGE}/check").status_code == 200
    assert "The drill directory answers. All of this went well" in ada.text
    set_fault(birch.id, Fault.REFUSES, until=world.clock.advance(days=1))
    world.clock.advance(days=-1)
    ada.post(f"{PAGE}/check")
    assert "It failed: the directory refuses" in ada.text
    cabinet.token = "another"
    ada.post(f"{PAGE}/check")
    assert "It failed: token: GET https://cabinet.example/Me: answered 401, “bad token ***”" in ada.text
    assert (TOKEN in ada.page, stored(birch)) == (False, before)


def test_accounts_are_kept_here_again(ada: Browser, birch: VirtualInstance) -> None:
    """The way back forgets the settings; other kinds offer their own form meanwhile."""
    send(ada)
    ada.get(f"{PAGE}?connector=local")
    assert "its connection forgotten" in ada.text
    assert ada.post(f"{PAGE}?connector=local").status_code == 200
    assert stored(birch) is None
    ada.get(f"{PAGE}?connector=nonsense")
    assert "people work in its own control panel" in ada.text


def test_a_rivals_change_and_open_accesses_are_said_above_the_form(
    world: World, ada: Browser, birch: VirtualInstance
) -> None:
    """A refusal keeps what was typed: 409, with how many accesses stand in the way."""
    send(ada)
    ada.post("/instances/birch-health/request-access", {"reason": "The start page is empty.", "duration": "3600"})
    ada.get(FORM)
    assert send(ada, url="https://elsewhere.example") == 409
    assert "1 access that has not ended" in ada.text
    assert value_of(ada, "url") == "https://elsewhere.example"
    assert send(ada, drawer="9") == 200


def test_other_modules_add_their_facts(app: Flask, ada: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """How people get in is for whoever lets them in to say."""
    facts: list[Any] = [Fact(label="Way in", text="By <b>the</b> window", url="/windows")]
    connection_facts(app).append(lambda _instance: facts)
    ada.get(PAGE)
    assert '<dd class="break"><a href="/windows">By &lt;b&gt;the&lt;/b&gt; window</a></dd>' in ada.page


def test_the_list_of_instances_leads_to_each_connection(ada: Browser) -> None:
    """A row action, as the others are."""
    ada.get("/instances")
    assert ada.get(ada.link(r"/instances/birch-health/connection")).status_code == 200


def test_a_connector_that_is_not_installed_is_said(world: World, ada: Browser) -> None:
    """The page of such an instance stands, and the way to another connector is open."""
    world.instance("cedar", connector="nonsense")
    page = "/instances/cedar/connection"
    assert ada.get(page).status_code == 200
    assert "there is no connector 'nonsense'" in ada.text
    assert ada.post(page).status_code == 400
    assert ada.post(f"{page}/check").status_code == 200
    assert "It failed: there is no connector 'nonsense'" in ada.text
    ada.get(f"{page}?connector={CABINET}")
    assert ada.post(f"{page}?connector={CABINET}", TYPED).status_code == 200
