"""S23: whatever takes authority or credentials ends all sessions and all open requests at once, wherever they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import select, update

from tempadmin.accounts import omniadmins
from tempadmin.accounts.models import ADMINISTRATOR, LoginSession, User
from tempadmin.db import db, transaction
from tests.accounts.people import NEW_PASSWORD, answer, old_code, send_device, shown_seed
from tests.browser import Browser
from tests.tempadmin.test_factor_reset import enrol_again, new_link
from tests.tickets.evidence import ACME, assert_gone, assert_refused, faults, go_inside, thief, to_return
from tests.world import CONSOLE, PASSWORD, World
from tickets.states import State

ADA = "ada@operator.example"


@dataclass
class Everywhere:
    """Ada inside acme, before the door of birch, asked for a confirmation at cedar, and signed in twice."""

    ada: Browser
    other: Browser
    cookie: str
    back: str
    confirmation: str
    requests: dict[str, int]


Cause = Callable[[World, Everywhere], None]


@pytest.fixture
def everywhere(world: World) -> Everywhere:
    """One person, and an open request in each state with an account."""
    world.omniadmin()
    for web_id in ("acme", "birch", "cedar"):
        world.instance(web_id)
    other = world.signed_in()
    inside = go_inside(world)
    birch = world.ask(inside.ada, "birch")
    back = to_return(inside.ada, world.confirm(inside.ada))
    cedar = world.ask(inside.ada, "cedar")
    ids = {"acme": inside.request.id, "birch": birch.id, "cedar": cedar.id}
    states = [world.request(request_id).state for request_id in ids.values()]
    assert states == [State.ACTIVE, State.READY, State.AWAITING_CONFIRMATION]
    return Everywhere(inside.ada, other, inside.cookie, back, world.confirmation_link(), ids)


def requester_disabled(world: World, found: Everywhere) -> None:
    """``omniadmin disable``."""
    home = world.default_instance().id
    omniadmins.disable_omniadmin(instance_id=home, email=ADA, runtime=world.runtime)


def new_password(world: World, found: Everywhere) -> None:
    """Her own change, in her other browser."""
    form = {"present": PASSWORD, "password": NEW_PASSWORD, "password_again": NEW_PASSWORD, "code": old_code(world)}
    assert answer(found.other, CONSOLE + "/account/password", form) == 303, found.other.text


def new_device(world: World, found: Everywhere) -> None:
    """The same for the second factor."""
    seed = shown_seed(found.other, CONSOLE + "/account/second-factor")
    assert send_device(world, found.other, seed, {"code": old_code(world)}) == 200, found.other.text


def lost_device(world: World, found: Everywhere) -> None:
    """The link of ``omniadmin reset-factor``, opened somewhere else."""
    assert enrol_again(world, new_link(world)) == 200


def signed_out(world: World, found: Everywhere) -> None:
    """Sign out, in the browser that did all this."""
    found.ada.get(CONSOLE + "/logout")
    assert found.ada.post(CONSOLE + "/logout").status_code == 303


def signed_out_from_afar(world: World, found: Everywhere) -> None:
    """End all other sessions, pressed in the other browser."""
    found.other.get(CONSOLE + "/account")
    assert found.other.post(CONSOLE + "/account/sessions/end-others").status_code == 303


CAUSES: dict[str, tuple[Cause, str, tuple[bool, bool]]] = {
    "disabled": (requester_disabled, "requester_disabled", (False, False)),
    "password": (new_password, "credentials_changed", (False, True)),
    "factor": (new_device, "credentials_changed", (False, True)),
    "reset": (lost_device, "credentials_changed", (False, False)),
    "sign-out": (signed_out, "requester_signed_out", (False, True)),
    "from afar": (signed_out_from_afar, "requester_signed_out", (False, True)),
}
"""What happens, what the requests say of it, and whether Ada's two console sessions go on."""


@pytest.mark.parametrize("cause", CAUSES)
def test_s23_every_loss_ends_sessions_and_open_requests_at_once(
    world: World, everywhere: Everywhere, cause: str
) -> None:
    """The very next request is refused: inside, at the door, by the mailed link; the accounts are gone."""
    act, reason, go_on = CAUSES[cause]
    act(world, everywhere)
    assert_refused(thief(world, everywhere.cookie))
    assert everywhere.ada.get(everywhere.back).status_code == 410
    alive = tuple(browser.get(CONSOLE + "/access").status_code == 200 for browser in (everywhere.ada, everywhere.other))
    assert alive == go_on
    for request_id in everywhere.requests.values():
        assert_gone(world, request_id, reason)
    if go_on[1]:
        assert everywhere.other.get(everywhere.confirmation).status_code == 410


def test_s23_a_role_that_somebody_took_by_hand_is_gone_at_once(world: World, everywhere: Everywhere) -> None:
    """No use case was there to end anything: page, door and confirmation look at the person again, each time."""
    with transaction() as session:
        session.execute(update(User).where(User.email == ADA).values(role=ADMINISTRATOR))
    assert_refused(thief(world, everywhere.cookie))
    assert everywhere.ada.get(everywhere.back).status_code == 410
    assert everywhere.ada.get(everywhere.confirmation).status_code == 403
    inside = select(LoginSession.id).where(LoginSession.access_request_id.is_not(None))
    assert len(db.session.scalars(inside).all()) == 1
    assert faults(world) == []


def test_s23_whoever_was_deactivated_by_hand_is_out_at_once(world: World, everywhere: Everywhere) -> None:
    """The console's session and the support session, too."""
    with transaction() as session:
        session.execute(update(User).where(User.email == ADA).values(active=False))
    assert_refused(thief(world, everywhere.cookie))
    assert everywhere.ada.get(everywhere.back).status_code == 410
    for browser in (everywhere.ada, everywhere.other):
        assert browser.get(CONSOLE + "/access").status_code == 302
    assert thief(world, everywhere.cookie, ACME).get(ACME + "/").status_code == 302
