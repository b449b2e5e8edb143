"""What a bad day or a careless hand left behind, and the sweep that finds it, killed at each step."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from instances.connectors.base import ConnectorError
from instances.connectors.drill import Fault
from instances.models import DrillAccount
from tempadmin.accounts.models import ADMINISTRATOR, TEMPORARY, LoginSession, User
from tempadmin.db import db, transaction
from tests.failpoints.stage import Cast, Prepare, bad_day, brought, killed
from tests.failpoints.their_accesses import end
from tests.tickets.asked import change
from tests.world import REASON, World
from tickets import drill_live
from tickets.attention import tell_omniadmins
from tickets.by_hand import retry_removal, say_removed
from tickets.expire import retry_due
from tickets.models import AccessRequest, Ticket
from tickets.states import State
from tickets.sweep import sweep


def spoiled(until: State) -> Prepare:
    """An access that has come so far, and a hand at the database after it."""

    def prepare(world: World) -> Cast:
        cast = brought(until)(world)
        cast.by_hand = True
        return cast

    return prepare


def a_removal_that_failed(world: World) -> Cast:
    """An access that is over, and whose account is still there."""
    cast = spoiled(State.ACTIVE)(world)
    with bad_day(remove_error=ConnectorError("it is down")):
        end(world, cast)
    return cast


def an_orphan(world: World) -> Cast:
    """An account whose request has ended."""
    cast = spoiled(State.ACTIVE)(world)
    end(world, cast)
    name = f"liferay_online_{cast.scene.user_id}_{cast.scene.request_id}"
    with transaction() as session:
        orphan = User(
            instance_id=cast.scene.instance_id,
            kind=TEMPORARY,
            role=ADMINISTRATOR,
            email=f"{name}@liferayonline.com",
            screen_name=name,
            full_name="Ada Brandt",
            active=False,
            created_at=world.clock.now(),
            access_request_id=cast.scene.request_id,
        )
        session.add(orphan)
    return cast


def a_lost_account(world: World) -> Cast:
    """A request whose account somebody deleted."""
    cast = spoiled(State.READY)(world)
    with transaction() as session:
        session.execute(delete(User).where(User.access_request_id == cast.scene.request_id))
    return cast


def a_session_that_lives_on(world: World) -> Cast:
    """A session that says it is of a request, and that has ended."""
    cast = spoiled(State.ACTIVE)(world)
    end(world, cast)
    with transaction() as session:
        session.get_one(LoginSession, cast.session_id).access_request_id = cast.scene.request_id
    return cast


def a_ticket_that_lives_on(world: World) -> Cast:
    """A live ticket of a request that has ended."""
    cast = spoiled(State.READY)(world)
    end(world, cast)
    with transaction() as session:
        mine = select(Ticket).where(Ticket.request_id == cast.scene.request_id).order_by(Ticket.id.desc())
        session.scalars(mine.limit(1)).one().voided_at = None
    return cast


def a_name_like_ours(world: World) -> Cast:
    """An account in the directory that nothing proves ours."""
    cast = spoiled(State.PROVISIONING)(world)
    with transaction() as session:
        name = f"liferay_online_{cast.scene.web_id}"
        session.add(DrillAccount(instance_id=cast.scene.instance_id, name=name, created_at=world.clock.now()))
    return cast


@killed(a_removal_that_failed)
def going_on_with_a_removal(world: World, cast: Cast) -> None:
    sweep(min_age=timedelta(0), runtime=world.runtime)


@killed(an_orphan)
def sweeping_an_orphan_that_does_not_go(world: World, cast: Cast) -> None:
    with bad_day(remove_error=ConnectorError("it is down")):
        sweep(min_age=timedelta(0), runtime=world.runtime)


@killed(an_orphan)
def sweeping_an_orphan(world: World, cast: Cast) -> None:
    sweep(min_age=timedelta(0), runtime=world.runtime)


@killed(a_lost_account)
def ending_what_lost_its_account(world: World, cast: Cast) -> None:
    sweep(min_age=timedelta(0), runtime=world.runtime)


@killed(a_session_that_lives_on, one_by_one=True)  # or a sweep of another's would have done it
def revoking_what_lives_on(world: World, cast: Cast) -> None:
    sweep(min_age=timedelta(0), runtime=world.runtime)


@killed(a_ticket_that_lives_on, one_by_one=True)  # or a sweep of another's would have done it
def voiding_what_lives_on(world: World, cast: Cast) -> None:
    sweep(min_age=timedelta(0), runtime=world.runtime)


@killed(a_name_like_ours)
def telling_of_a_name_like_ours(world: World, cast: Cast) -> None:
    sweep(min_age=timedelta(0), runtime=world.runtime)
    db.session.rollback()


@killed(a_removal_that_failed, one_by_one=True)  # or a sweep of another's would have done it
def having_a_removal_tried_now(world: World, cast: Cast) -> None:
    retry_removal(request_id=cast.scene.request_id, acting=cast.colleague(), runtime=world.runtime)


@killed(a_removal_that_failed, one_by_one=True)  # or a sweep of another's would have done it
def saying_that_it_was_removed_by_hand(world: World, cast: Cast) -> None:
    request_id, bea = cast.scene.request_id, cast.colleague()
    with bad_day(exists_error=ConnectorError("it is down")):
        say_removed(request_id=request_id, acting=bea, reason=REASON, runtime=world.runtime)
    retry_removal(request_id=request_id, acting=bea, runtime=world.runtime)


def a_removal_that_keeps_failing(world: World) -> Cast:
    """One that needs attention."""
    cast = a_removal_that_failed(world)
    change(AccessRequest, cast.scene.request_id, removal_failures=3)
    return cast


@killed(a_removal_that_keeps_failing, one_by_one=True)
def telling_omniadmins_of_it(world: World, cast: Cast) -> None:
    tell_omniadmins(world.runtime)


def two_removals_at_once(world: World) -> Cast:
    """Two accounts of one directory that must go."""
    due = world.clock.now()
    casts = [a_removal_that_failed(world) for _ in range(2)]
    for cast in casts:
        change(
            AccessRequest,
            cast.scene.request_id,
            next_attempt_at=due,
            connector="local",
            removal_failures=0,
            activated_at=None,
        )
    return casts[0]


@killed(two_removals_at_once, one_by_one=True)
def removing_many(world: World, cast: Cast) -> None:
    retry_due(world.runtime)


def two_removals_by_steps(world: World) -> Cast:
    """Two as above, of which one may still be made by an attempt that did not return."""
    cast = two_removals_at_once(world)
    change(AccessRequest, cast.scene.request_id, attempt_deadline=world.clock.now() + timedelta(seconds=60))
    return cast


@killed(two_removals_by_steps, one_by_one=True)
def removing_many_by_steps(world: World, cast: Cast) -> None:
    retry_due(world.runtime)


def nobody_drills(world: World) -> Cast:
    """An omniadmin; a drill is one that sticks for a while."""
    return spoiled(State.PROVISIONING)(world)


@killed(nobody_drills, one_by_one=True)
def drilling(world: World, cast: Cast) -> None:
    person, actor = db.session.get_one(User, cast.scene.user_id), cast.scene.actor
    a_while = timedelta(seconds=60)
    drill_live.start(Fault.REFUSES, lasting=a_while, person=person, actor=actor, runtime=world.runtime)
    drill_live.stop(runtime=world.runtime)
