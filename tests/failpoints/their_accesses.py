"""Accesses that need somebody's yes, that end early, that last longer, killed at each step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update

from instances.connectors.base import ConnectorError
from tempadmin.accounts.models import SecondFactor
from tempadmin.audit.log import SERVICE
from tempadmin.db import transaction
from tests.failpoints.stage import Cast, bad_day, brought, killed
from tests.tickets import asked
from tests.tickets.asked import change
from tests.tickets.doors import open_door
from tests.tickets.evidence import key_in
from tests.world import REASON, World
from tickets import confirm
from tickets.approve import approve, reject
from tickets.end import end_access
from tickets.expire import end_if_over
from tickets.extend import approve_extension, extend, reject_extension
from tickets.impersonate import request_impersonation
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.start import start
from tickets.states import EndReason, State

HOUR = timedelta(hours=1)


def waiting(world: World) -> Cast:
    """An access that waits for the customer's yes."""
    cast = brought(require_customer=True)(world)
    cast.scene.request_id = asked.ask(world, cast.scene.user_id, cast.scene.web_id)
    return cast


def approved(world: World) -> Cast:
    """One that waits for Start."""
    cast = waiting(world)
    approve(request_id=cast.scene.request_id, acting=cast.rosa(), runtime=world.runtime)
    return cast


def waiting_for_liam(world: World) -> Cast:
    """A user who is asked whether they may be seen."""
    cast = brought(connector="local")(world)
    liam = cast.person("liam").email
    cast.scene.request_id = asked.ask_user(world, cast.scene.user_id, liam, cast.scene.web_id)
    return cast


def inside(world: World, cast: Cast) -> None:
    """Go the rest of the way, from Start to the support session."""
    request_id, ada = cast.scene.request_id, cast.scene.user_id
    start(request_id=request_id, user_id=ada, runtime=world.runtime)
    provision(request_id=request_id, runtime=world.runtime)
    key = key_in(world.confirmation_link())
    link = confirm.confirm(key=key, user_id=ada, answer=world.code(), runtime=world.runtime)
    asked.entering(world, request_id, ada, link.key)()


def going_on(world: World) -> Cast:
    """An access whose requester asked the customer for more time."""
    cast = approved(world)
    inside(world, cast)
    with transaction() as session:  # as if the code that confirmed were of long ago: this clock is everybody's
        session.execute(update(SecondFactor).where(SecondFactor.user_id == cast.scene.user_id).values(last_step=0))
    asking_for_more_time(world, cast)
    return cast


def end(world: World, cast: Cast, reason: EndReason = EndReason.ENDED_BY_OMNIADMIN) -> None:
    end_access(request_id=cast.scene.request_id, reason=reason, actor=SERVICE, runtime=world.runtime)


@killed(waiting)
def saying_yes(world: World, cast: Cast) -> None:
    approve(request_id=cast.scene.request_id, acting=cast.rosa(), runtime=world.runtime)


@killed(waiting)
def saying_no(world: World, cast: Cast) -> None:
    reject(request_id=cast.scene.request_id, acting=cast.rosa(), runtime=world.runtime)


@killed(approved)
def pressing_start(world: World, cast: Cast) -> None:
    start(request_id=cast.scene.request_id, user_id=cast.scene.user_id, runtime=world.runtime)
    provision(request_id=cast.scene.request_id, runtime=world.runtime)


@killed(brought(State.AWAITING_CONFIRMATION))
def sending_the_mail_again(world: World, cast: Cast) -> None:
    confirm.send_again(request_id=cast.scene.request_id, user_id=cast.scene.user_id, runtime=world.runtime)


@killed(brought(State.AWAITING_CONFIRMATION))
def confirming_without_mail(world: World, cast: Cast) -> None:
    settings = world.runtime.settings.model_copy(update={"confirm_by_mail": False})
    runtime = replace(world.runtime, settings=settings)
    person = cast.scene.user_id
    key = confirm.open_confirmation(request_id=cast.scene.request_id, user_id=person, runtime=runtime)
    confirm.confirm(key=key, user_id=person, answer=world.code(), runtime=runtime)


# Every omniadmin at work is told.
@killed(brought(State.AWAITING_CONFIRMATION), one_by_one=True)
def disowning_a_request(world: World, cast: Cast) -> None:
    confirm.disown(key=cast.scene.confirm_key, user_id=cast.scene.user_id, runtime=world.runtime)


@killed(brought(State.READY))
def asking_for_a_new_link(world: World, cast: Cast) -> None:
    found = confirm.new_sign_in_link(
        request_id=cast.scene.request_id, user_id=cast.scene.user_id, runtime=world.runtime
    )
    cast.scene.login_key = found.key
    open_door(world, cast.scene).enter(world)


@killed(brought(State.ACTIVE))
def ending_while_the_directory_is_away(world: World, cast: Cast) -> None:
    with bad_day(remove_error=ConnectorError("it is down")):
        end(world, cast)


@killed(brought(State.PROVISIONING))
def making_while_the_directory_is_away(world: World, cast: Cast) -> None:
    with bad_day(create_error=ConnectorError("it is down")):
        provision(request_id=cast.scene.request_id, runtime=world.runtime)


@killed(brought(State.PROVISIONING))
def ending_while_the_account_is_made(world: World, cast: Cast) -> None:
    with bad_day(meanwhile=lambda: end(world, cast)):
        provision(request_id=cast.scene.request_id, runtime=world.runtime)


@killed(brought(State.ACTIVE))
def asking_for_more_time(world: World, cast: Cast) -> None:
    extend(
        request_id=cast.scene.request_id,
        user_id=cast.scene.user_id,
        reason=REASON,
        added=HOUR,
        answer=world.code(),
        runtime=world.runtime,
    )


@killed(going_on)
def granting_more_time(world: World, cast: Cast) -> None:
    asked.decide(world, approve_extension, cast.scene.request_id, cast.rosa().user_id or 0)


@killed(going_on)
def refusing_more_time(world: World, cast: Cast) -> None:
    asked.decide(world, reject_extension, cast.scene.request_id, cast.rosa().user_id or 0)


@killed(brought(connector="local"))
def asking_a_user(world: World, cast: Cast) -> None:
    request_impersonation(
        requester_id=cast.scene.user_id,
        web_id=cast.scene.web_id,
        email=cast.person("liam").email,
        reason=REASON,
        duration=HOUR,
        runtime=world.runtime,
    )


@killed(waiting_for_liam, everywhere=True)
def seeing_what_a_user_sees(world: World, cast: Cast) -> None:
    request_id, liam = cast.scene.request_id, asked.acting(cast.person("liam").id)
    approve(request_id=request_id, acting=liam, runtime=world.runtime)
    inside(world, cast)
    end_access(request_id=request_id, reason=EndReason.ENDED_BY_SUBJECT, actor=liam.actor, runtime=world.runtime)


@killed(brought(State.ACTIVE))
def a_time_limit(world: World, cast: Cast) -> None:
    change(AccessRequest, cast.scene.request_id, ends_at=world.clock.now())
    end_if_over(request_id=cast.scene.request_id, runtime=world.runtime)
