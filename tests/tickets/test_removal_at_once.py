"""P1, P11: what our own table holds is removed and called gone in one transaction, or step by step when that fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event

from tempadmin import failpoints
from tempadmin.accounts.models import User
from tempadmin.db import db
from tests.tickets.asked import change
from tests.tickets.evidence import assert_gone, events
from tests.tickets.scenes import Scene, bring, new_scene
from tests.world import World
from tickets.end import end_access
from tickets.expire import retry_due
from tickets.models import AccessRequest
from tickets.states import EndReason, State

KEEP = {
    "sqlite": ["CREATE TRIGGER keep BEFORE DELETE ON users BEGIN SELECT RAISE(IGNORE); END"],
    "postgresql": [
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER keep BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION keep()",
    ],
}
LET_GO = {"sqlite": ["DROP TRIGGER keep"], "postgresql": ["DROP TRIGGER keep ON users", "DROP FUNCTION keep()"]}


@pytest.fixture
def scene(world: World) -> Scene:
    scene = new_scene(world)
    bring(world, scene, State.ACTIVE)
    return scene


@pytest.fixture
def committed() -> Iterator[list[str]]:
    """The functions whose transactions were committed."""
    names: list[str] = []
    failpoints.hook = lambda point: names.append(point) if point.endswith(":committed") else None
    yield names
    failpoints.hook = None


def end(world: World, scene: Scene) -> None:
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=scene.actor, runtime=world.runtime)


def run(statements: dict[str, list[str]]) -> None:
    with db.engine.begin() as connection:
        for statement in statements[db.engine.dialect.name]:
            connection.exec_driver_sql(statement)


def test_p1_an_account_of_our_own_table_is_gone_with_two_commits(
    world: World, scene: Scene, committed: list[str]
) -> None:
    """The end stands for itself; account, request and record go together after it."""
    end(world, scene)
    assert committed == ["tickets.end.end_access:committed", "tickets.removal_at_once._remove:committed"]
    assert_gone(world, scene.request_id, "logout")


def test_p11_an_account_that_only_seems_to_go_is_not_called_gone(world: World, scene: Scene) -> None:
    """The database keeps the row and says nothing: the read-back finds it, the end stands, the account is of no use."""
    run(KEEP)
    end(world, scene)
    request = world.request(scene.request_id)
    assert (request.state, request.removal_failures, request.last_error) == (
        State.ENDING,
        1,
        "the account is still there",
    )
    assert events(scene.request_id)[-2:] == ["access.ending", "access.removal_failed"]
    assert db.session.get_one(User, request.subject_id).active is False
    run(LET_GO)
    world.clock.advance(minutes=1)
    assert retry_due(world.runtime) == "0 made, 1 removed"
    assert_gone(world, scene.request_id, "logout")


@pytest.mark.only_sqlite
def test_p1_what_breaks_down_half_way_is_undone_and_taken_step_by_step(
    world: World, scene: Scene, committed: list[str]
) -> None:
    """The account was deleted, its request's last move fails once: nothing of that stays, and all is done after all."""
    failing = ["UPDATE access_requests SET state"]

    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if committed and failing and statement.startswith(failing[0]):
            failing.clear()
            raise ValueError("no such thing was foreseen")

    event.listen(db.engine, "before_cursor_execute", fail)
    try:
        end(world, scene)
    finally:
        event.remove(db.engine, "before_cursor_execute", fail)
    assert [name.rpartition(".")[2] for name in committed] == [
        "end_access:committed",
        "_claim:committed",
        "_delete:committed",
        "_settle:committed",
    ]
    assert_gone(world, scene.request_id, "logout")
    assert events(scene.request_id).count("access.ended") == 1


def test_p1_an_end_while_a_create_may_take_effect_waits_for_it(world: World, scene: Scene) -> None:
    """The account is deleted at once, and called gone when nothing can come after."""
    change(AccessRequest, scene.request_id, attempt_deadline=world.clock.now() + timedelta(seconds=30))
    end(world, scene)
    request = world.request(scene.request_id)
    assert (request.state, request.removal_failures) == (State.ENDING, 0)
    assert db.session.get(User, request.subject_id) is None
    world.clock.advance(seconds=30)
    retry_due(world.runtime)
    assert_gone(world, scene.request_id, "logout")
