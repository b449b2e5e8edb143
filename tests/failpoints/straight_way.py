"""The main job through the pages, killed at every single step (P1)."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.test import TestResponse

from tempadmin.errors import Conflict, Gone
from tests.browser import Browser
from tests.failpoints.stage import Cast, brought, killed
from tests.world import CONSOLE, REASON, World
from tickets.states import State

REFUSALS = {HTTPStatus.CONFLICT: Conflict, HTTPStatus.GONE: Gone, HTTPStatus.FOUND: Gone}
"""What may be answered to whoever tries again; being led to the sign-in says that one is not inside any more."""


def told(response: TestResponse, browser: Browser) -> None:
    """Take a page for what it says: a refusal that a person can understand, or a success."""
    refusal = REFUSALS.get(HTTPStatus(response.status_code))
    if refusal is not None:
        raise refusal(browser.text[:200])
    assert response.status_code == HTTPStatus.OK, (browser.trail[-3:], browser.text)


@killed(brought(), everywhere=True)
def asking_for_access(world: World, cast: Cast) -> None:
    ada, form = cast.scene.browser(world), f"{CONSOLE}/instances/{cast.scene.web_id}/request-access"
    told(ada.get(form), ada)
    if 'name="reason"' not in ada.page:
        raise Conflict(ada.text[:200])
    told(ada.post(form, {"reason": REASON, "duration": "3600"}, follow=True), ada)


@killed(brought(connector="local"), everywhere=True)
def asking_where_the_account_is_made_at_once(world: World, cast: Cast) -> None:
    asking_for_access(world, cast)


@killed(brought(State.AWAITING_CONFIRMATION), everywhere=True)
def confirming(world: World, cast: Cast) -> None:
    ada, link = cast.scene.browser(world), f"{CONSOLE}/access/confirm?key={cast.scene.confirm_key}"
    told(ada.get(link), ada)
    told(ada.post(link, {"code": world.code()}), ada)


@killed(brought(State.READY), everywhere=True)
def going_in(world: World, cast: Cast) -> None:
    ada = cast.scene.browser(world)
    told(ada.get(cast.scene.link, follow=True), ada)


@killed(brought(State.ACTIVE), everywhere=True)
def logging_out_and_deleting_the_account(world: World, cast: Cast) -> None:
    ada, page = cast.scene.browser(world), f"{cast.scene.base}/users"
    told(ada.get(page), ada)
    told(ada.post(f"{cast.scene.base}/support-session/leave", {}, follow=True), ada)
