"""An instance keeps an administrator, however many buttons are pressed at once."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from instances import directory
from instances.directory import Acting
from instances.models import VirtualInstance
from tempadmin.accounts.models import ADMINISTRATOR, User
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict
from tests.tickets.evidence import at_once
from tests.world import World

ROUNDS, PEOPLE = 5, 4


def test_of_administrators_who_remove_each_other_at_once_one_stays(world: World, birch: VirtualInstance) -> None:
    """Each deactivates the next in a ring; checked without all their locks, nobody would be left."""
    instance_id = birch.id
    for number in range(ROUNDS):
        ring = [world.administrator(birch, f"a{number}{at}@birch.example").id for at in range(PEOPLE)]
        pairs = zip(ring, ring[1:] + ring[:1], strict=True)
        outcomes = at_once([remove(world, instance_id, by, whom) for by, whom in pairs])
        db.session.rollback()
        active = db.session.scalars(
            select(User.id).where(User.instance_id == instance_id, User.active, User.role == ADMINISTRATOR)
        ).all()
        assert len(active) == 1, outcomes
        assert sorted(outcomes) == ["conflict"] + ["removed"] * (PEOPLE - 1)
        leave_none(active[0])


def remove(world: World, instance_id: int, by: int, whom: int) -> Callable[[], str]:
    """One administrator's click, in a context and connection of its own."""
    acting = Acting(user_id=by, instance_id=instance_id, actor=Actor(id=by, name="A"), request_id=None)

    def click() -> str:
        with world.app.app_context():
            try:
                directory.deactivate(acting=acting, user_id=whom, runtime=world.runtime)
            except Conflict:
                return "conflict"
            finally:
                db.session.remove()
            return "removed"

    return click


def leave_none(user_id: int) -> None:
    """Clear the stage for the next round."""
    with transaction():
        db.session.get_one(User, user_id).active = False
