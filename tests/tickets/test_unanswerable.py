"""A question that nobody could answer is not asked: the request is refused with that reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, TEMPORARY, User
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid
from tests.conftest import Build
from tests.tickets.asked import ADA, HOUR, LIAM, ask, change, gather, go_in, go_in_as, more_time, stands, yes
from tests.world import REASON, World
from tickets.extend import extend
from tickets.models import AccessRequest
from tickets.states import State

POWERLESS: dict[str, dict[str, Any]] = {
    "deactivated": {"active": False},
    "invited and not joined": {"password_hash": None},
    "made in a support session": {"made_in_request_id": 77},
    "only a member": {"role": MEMBER},
    "temporary": {"kind": TEMPORARY, "password_hash": None, "access_request_id": 77},
    "the requester's own": {"email": ADA},
}


def asked() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(AccessRequest)) or 0


@pytest.mark.parametrize("flaw", POWERLESS)
def test_p9_s33_a_customer_without_anybody_who_could_answer_is_not_asked(world: World, flaw: str) -> None:
    """One administrator, who could not answer: refused with that reason; sound again, the question is asked."""
    ada, acme = world.omniadmin(), world.instance("acme", require_customer=True)
    rosa = world.administrator(acme, "rosa@acme.example")
    sound = {name: getattr(rosa, name) for name in POWERLESS[flaw]}
    world.administrator(world.instance("birch"), "stan@birch.example")
    change(User, rosa.id, **POWERLESS[flaw])
    with pytest.raises(Conflict, match="no administrator who could answer"):
        ask(world, ada.id)
    assert asked() == 0
    change(User, rosa.id, **sound)
    assert stands(world, ask(world, ada.id))[0] == State.PENDING_APPROVAL


def test_p9_a_customer_without_any_administrator_is_not_asked(world: World) -> None:
    """Not even one row: the same reason."""
    ada = world.omniadmin()
    world.user(world.instance("acme", require_customer=True), LIAM)
    with pytest.raises(Conflict, match="no administrator who could answer"):
        ask(world, ada.id)


def test_s25_an_account_that_was_vouched_for_is_somebody_who_can_answer(world: World) -> None:
    """The mark stays on record, and stops nothing any more."""
    ada, acme = world.omniadmin(), world.instance("acme", require_customer=True)
    world.user(acme, "rosa@acme.example", role=ADMINISTRATOR, made_in_request_id=77, vouched_at=world.clock.now())
    assert stands(world, ask(world, ada.id))[0] == State.PENDING_APPROVAL


@pytest.mark.parametrize("flaw", ["nobody else", "deactivated", "invited and not joined"])
def test_p9_without_a_second_omniadmin_who_could_answer_none_is_asked(build: Build, flaw: str) -> None:
    """By the operator's own switch; the first one's own yes is none."""
    world = build(require_omniadmin=True)
    ada = world.omniadmin()
    world.administrator(world.instance("acme"), "rosa@acme.example")
    if flaw != "nobody else":
        change(User, world.omniadmin("bea@operator.example").id, **POWERLESS[flaw])
    with pytest.raises(Conflict, match="second omniadmin"):
        ask(world, ada.id)
    assert asked() == 0
    world.omniadmin("cy@operator.example")
    assert stands(world, ask(world, ada.id))[0] == State.PENDING_APPROVAL


def test_p9_more_time_that_nobody_could_grant_is_not_asked_for(world: World) -> None:
    """The administrators are gone since the yes to the access: the reason, no code spent, the access as it was."""
    people = gather(world, require_customer=True)
    request_id = ask(world, people.ada)
    yes(world, request_id, people.rosa)
    go_in(world, request_id, people.ada)
    for person in (people.rosa, people.max):
        change(User, person, active=False)
    code = world.next_code()

    def more() -> bool:
        return extend(
            request_id=request_id, user_id=people.ada, reason=REASON, added=HOUR, answer=code, runtime=world.runtime
        )

    with pytest.raises(Conflict, match="no administrator who could answer"):
        more()
    assert more_time(request_id) is None
    change(User, people.max, active=True)
    assert not more()


def test_p9_more_time_inside_a_users_pages_is_the_users_own_to_give(world: World) -> None:
    """It needs nobody but the subject, whatever administrators there are, and never the operator's."""
    people = gather(world, require_omniadmin=True, require_customer=True)
    request_id, _ = go_in_as(world, people)
    with pytest.raises(Invalid):
        extend(
            request_id=request_id,
            user_id=people.ada,
            reason=REASON,
            added=timedelta(hours=8),
            answer=world.next_code(),
            runtime=world.runtime,
        )
    for person in (people.rosa, people.max, people.bea):
        change(User, person, active=False)
    granted = extend(
        request_id=request_id,
        user_id=people.ada,
        reason=REASON,
        added=HOUR,
        answer=world.next_code(),
        runtime=world.runtime,
    )
    assert not granted
    found = more_time(request_id)
    assert found is not None
    assert found.state == "pending"
