"""S03, S36: the user who consented is entered as they were, or not at all: each column by itself, changed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from tempadmin.accounts.models import LoginSession
from tempadmin.db import db
from tempadmin.errors import Gone
from tests.breakage import write
from tests.tickets.asked import ask_user, confirmed, entering, gather, stands, yes
from tests.world import World
from tickets.states import State

CHANGES: dict[str, Any] = {"email": "other@acme.example", "role": "omniadmin", "active": False, "instance_id": 1}


@pytest.mark.parametrize("column", [*CHANGES, "kind"])
def test_s03_a_user_who_changed_since_the_consent_is_not_entered(world: World, column: str) -> None:
    """The requester is told so; no session comes of it."""
    people = gather(world)
    request_id = ask_user(world, people.ada)
    yes(world, request_id, people.liam)
    key = confirmed(world, request_id, people.ada)
    enter = entering(world, request_id, people.ada, key)
    if column == "kind":  # the constraint wants both
        write("users", "password_hash", None, row_id=people.liam)
    write("users", column, CHANGES.get(column, "temporary"), row_id=people.liam)
    with pytest.raises(Gone, match=r"^The account that was to be entered is gone, or has changed\.$"):
        enter()
    db.session.rollback()
    assert stands(world, request_id)[0] == State.READY
    inside = select(LoginSession.id).where(LoginSession.access_request_id == request_id)
    assert db.session.scalars(inside).all() == []
