"""Accounts that are used elsewhere: let in there, by a password that is shown once, killed at each step (P1)."""

from __future__ import annotations

from datetime import timedelta

from instances.connectors.base import ConnectorError, Entry
from tempadmin.accounts import sessions
from tests.failpoints.stage import DIRECTORY, Cast, bad_day, brought, killed
from tests.failpoints.straight_way import told
from tests.failpoints.their_accesses import end
from tests.tickets.asked import change
from tests.world import World
from tickets.activation import activate, activate_due
from tickets.expire import retry_due
from tickets.models import AccessRequest
from tickets.states import State

BY_A_PASSWORD = brought(State.READY, entry=Entry.CREDENTIAL)
INSIDE = brought(State.ACTIVE, entry=Entry.CREDENTIAL)


def shut_out(world: World) -> Cast:
    """One who is inside here, and whom the directory did not let in."""
    with bad_day(activate_error=ConnectorError("it is down")):
        return INSIDE(world)


def about_to_be_let_in(world: World) -> Cast:
    """One whose account is let in by the job, a little later."""
    cast = shut_out(world)
    change(AccessRequest, cast.scene.request_id, attempt_deadline=None, next_attempt_at=world.clock.now())
    return cast


@killed(BY_A_PASSWORD, everywhere=True)
def going_in_by_a_password(world: World, cast: Cast) -> None:
    ada = cast.scene.browser(world)
    told(ada.get(cast.scene.link, follow=True), ada)
    told(ada.post(f"{cast.scene.base}/support-session/password", {}), ada)


@killed(BY_A_PASSWORD)
def going_in_while_the_directory_is_away(world: World, cast: Cast) -> None:
    ada = cast.scene.browser(world)
    with bad_day(activate_error=ConnectorError("it is down")):
        told(ada.get(cast.scene.link, follow=True), ada)


@killed(INSIDE)
def having_the_password_shown(world: World, cast: Cast) -> None:
    ada = cast.scene.browser(world)
    told(ada.get(f"{cast.scene.base}/support-session"), ada)
    told(ada.post(f"{cast.scene.base}/support-session/password", {}), ada)


@killed(shut_out)
def trying_again(world: World, cast: Cast) -> None:
    ada = cast.scene.browser(world)
    told(ada.get(f"{cast.scene.base}/support-session"), ada)
    told(ada.post(f"{cast.scene.base}/support-session/try-again", {}, follow=True), ada)


@killed(about_to_be_let_in)
def ending_while_an_account_is_let_in(world: World, cast: Cast) -> None:
    with bad_day(once_let_in=lambda: end(world, cast)):
        activate(request_id=cast.scene.request_id, runtime=world.runtime)


@killed(about_to_be_let_in, one_by_one=True)
def being_let_in_when_all_is_over(world: World, cast: Cast) -> None:
    def long_over() -> None:
        end(world, cast)
        world.clock.advance(seconds=timedelta(minutes=1).total_seconds())
        retry_due(world.runtime)

    with bad_day(once_let_in=long_over):
        activate(request_id=cast.scene.request_id, runtime=world.runtime)


@killed(about_to_be_let_in)
def letting_in_by_the_job(world: World, cast: Cast) -> None:
    activate_due(world.runtime)
    assert sessions.live_ids(user_id=cast.scene.user_id)


@killed(INSIDE)
def ending_what_made_something(world: World, cast: Cast) -> None:
    DIRECTORY.made = ["table invoices"]
    try:
        end(world, cast)
    finally:
        DIRECTORY.made = []
