"""S23: what takes an impersonation's ground away ends it, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from instances import directory
from instances.registry import archive_instance
from tempadmin.accounts import omniadmins
from tempadmin.accounts.change_password import change_password
from tempadmin.accounts.models import User
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.errors import DomainError
from tests.tickets.asked import (
    ADA,
    People,
    acting,
    ask_user,
    begin,
    confirmed,
    entering,
    gather,
    stands,
    yes,
)
from tests.tickets.evidence import assert_refused, faults, thief
from tests.world import PASSWORD, World
from tickets.states import EndReason, State


def deactivated(world: World, people: People) -> None:
    directory.deactivate(acting=acting(people.rosa), user_id=people.liam, runtime=world.runtime)


def promoted(world: World, people: People) -> None:
    who = acting(people.rosa)
    directory.edit(acting=who, user_id=people.liam, full_name="Liam", role="administrator", runtime=world.runtime)


def new_password(world: World, people: People) -> None:
    change_password(
        user_id=people.liam,
        session_id=0,
        present=PASSWORD,
        new="a wholly other",
        answer=None,
        runtime=world.runtime,
    )


def archived(world: World, _people: People) -> None:
    archive_instance(web_id="acme", actor=SERVICE, runtime=world.runtime)


def disabled(world: World, _people: People) -> None:
    omniadmins.disable_omniadmin(instance_id=world.default_instance().id, email=ADA, runtime=world.runtime)


CAUSES: dict[str, tuple[Callable[[World, People], None], EndReason]] = {
    "subject deactivated": (deactivated, EndReason.SUBJECT_CHANGED),
    "subject's role": (promoted, EndReason.SUBJECT_CHANGED),
    "subject's password": (new_password, EndReason.SUBJECT_CHANGED),
    "archived": (archived, EndReason.INSTANCE_ARCHIVED),
    "requester disabled": (disabled, EndReason.REQUESTER_DISABLED),
}
STAGES = (State.PENDING_APPROVAL, State.APPROVED, State.AWAITING_CONFIRMATION, State.READY, State.ACTIVE)


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("stage", STAGES)
def test_s23_whatever_takes_its_ground_away_ends_it_wherever_it_stands(world: World, stage: State, cause: str) -> None:
    """In the same transaction; the next step and the next request are refused; no account of a user is gone."""
    people = gather(world)
    request_id = ask_user(world, people.ada)
    next_step: Callable[[], object] = partial(yes, world, request_id, people.liam)
    cookie = None
    if stage != State.PENDING_APPROVAL:
        next_step()
        next_step = partial(begin, world, request_id, people.ada)
    if stage == State.AWAITING_CONFIRMATION:
        next_step()
        next_step = partial(confirmed, world, request_id, people.ada)
    if stage in (State.READY, State.ACTIVE):
        next_step = entering(world, request_id, people.ada, confirmed(world, request_id, people.ada))
    if stage == State.ACTIVE:
        cookie = next_step()
    assert stands(world, request_id)[0] == stage
    db.session.rollback()
    act, reason = CAUSES[cause]
    act(world, people)
    assert stands(world, request_id) == (State.ENDED, reason)
    with pytest.raises(DomainError):
        next_step()
    if isinstance(cookie, str):
        assert_refused(thief(world, cookie))
    assert db.session.get(User, people.liam) is not None
    assert faults(world) == []
