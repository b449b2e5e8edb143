"""A support session whose account is used elsewhere comes to its own page, and to no other that asks who comes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from sqlalchemy import select

from instances.connectors.base import Entry
from tempadmin.db import db
from tempadmin.web.guard import rule_of
from tests.tickets.scenes import Scene, bring
from tests.tickets.vault import put_in, scene_with
from tests.world import World
from tickets.models import Activity
from tickets.states import State

pytestmark = pytest.mark.only_sqlite  # who may see a page does not depend on the database

TABLE = tomllib.loads((Path(__file__).parents[1] / "tempadmin/routes.toml").read_text("utf-8"))
OWN = {"inside.overview", "inside.show_password", "inside.try_again", "portal.leave"}


@pytest.fixture
def scene(world: World) -> Scene:
    scene = scene_with(world, put_in(world, Entry.OIDC))
    bring(world, scene, State.ACTIVE)
    return scene


def test_s30_its_own_page_is_all_that_it_comes_to(world: World, scene: Scene) -> None:
    """Over the whole URL map: what has roles answers 403 with the way back, or 404, and changes nothing."""
    browser, wrong = scene.browser(world), {}
    for rule in world.app.url_map.iter_rules():
        guard = rule_of(world.app, rule.endpoint)
        if guard is None or not guard.roles or rule.endpoint in {*OWN, "home"}:
            continue
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            url = scene.base + TABLE[f"{method} {rule.rule}"].get("open", rule.rule).format_map(Filled())
            browser.get(f"{scene.base}/support-session")
            answer = browser.get(url) if method == "GET" else browser.post(url)
            back = 'href="/support-session">Back to your access' in browser.page
            if (answer.status_code, back) not in ((403, True), (404, False)):
                wrong[method, rule.rule] = answer.status_code
    assert wrong == {}
    assert {rule.endpoint for rule in world.app.url_map.iter_rules() if _is_confined(world, rule.endpoint)} == OWN


def test_the_start_page_leads_to_it_and_the_bar_offers_nothing_else(world: World, scene: Scene) -> None:
    """Who clicks the name above the page comes back to it; what leads into the control panel is not there."""
    browser = scene.browser(world)
    answer = browser.get(f"{scene.base}/", follow=True)
    assert answer.status_code == 200
    assert browser.url == f"{scene.base}/support-session"
    assert "bar-nav" not in browser.page
    assert "Log out and delete this account" in browser.text


def test_s53_what_was_refused_is_in_the_activity(world: World, scene: Scene) -> None:
    """The customer sees the try, with the real person."""
    browser = scene.browser(world)
    browser.get(f"{scene.base}/users")
    db.session.rollback()
    row = db.session.scalars(select(Activity).order_by(Activity.id.desc()).limit(1)).one()
    assert (row.actor_name, row.path, row.status, row.did) == (
        "Ada Brandt",
        "/users",
        403,
        "Tried to look at users: refused",
    )


def test_it_logs_out_as_everywhere(world: World, scene: Scene) -> None:
    """The button of the banner ends the access and deletes the account."""
    browser = scene.browser(world)
    browser.get(f"{scene.base}/support-session")
    assert browser.post("/support-session/leave", follow=True).status_code == 200
    assert world.request(scene.request_id).state == State.ENDED


class Filled(dict[str, str]):
    """Words of the table's addresses; whatever they name, it is not theirs to see."""

    def __missing__(self, key: str) -> str:
        return "c" * 43 if key == "challenge" else "1"


def _is_confined(world: World, endpoint: str) -> bool:
    rule = rule_of(world.app, endpoint)
    return rule is not None and rule.confined
