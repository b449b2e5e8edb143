"""What directories elsewhere hold too much: proven ours it goes, else it is told of and left alone (P1, P11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from instances.connectors import marker
from instances.connectors.drill import DRILL, Fault
from tempadmin.accounts.models import LoginSession, User
from tempadmin.db import db
from tempadmin.doctor.findings import Level
from tests.tickets.faraway import broken, clean_up, ended, events, has_fault, put, said, scene_elsewhere, there
from tests.tickets.scenes import Scene, bring, new_scene
from tests.world import World
from tickets import directories
from tickets.accounts import account_of
from tickets.end import end_access
from tickets.leftover_model import Leftover
from tickets.provision import provision
from tickets.states import EndReason, State
from tickets.sweep import sweep


@pytest.fixture
def scene(world: World) -> Scene:
    return scene_elsewhere(world)


def test_p1_an_account_whose_request_has_ended_is_named_and_goes(world: World, scene: Scene) -> None:
    """It is back, however that came (a restored directory): our marker proves it ours, so the clean-up removes it."""
    account = account_of(ended(world, scene))
    put(world, scene, account.name, account.marker)
    world.clock.advance(seconds=1)
    assert any(account.name in message and "has ended" in message for message in broken())
    assert (said(world)[0][0], account.name in said(world)[0][1]) == (Level.ERROR, True)
    assert (clean_up(world).gone, clean_up(world).found, there(world)) == (1, 0, [])
    assert events(scene)[-2:] == ["access.leftover_found", "access.orphan_removed"]
    assert broken() == []


def test_p1_an_account_that_only_our_marker_knows_goes(world: World, scene: Scene) -> None:
    """The database is an older copy: the request never was, and the marker still proves who made the account."""
    name = "liferay_online_9_999"
    mark = marker.make(request="lost", instance_id=scene.instance_id, name=name, keys=world.runtime.keys)
    put(world, scene, name, mark)
    assert any("its request does not exist" in message for message in broken())
    assert (clean_up(world).gone, there(world)) == (1, [])
    assert broken() == []


@pytest.mark.parametrize("mark", ["none", "forged", "copied", "of another instance"])
def test_p1_what_is_not_proven_ours_is_told_of_and_left_alone(world: World, scene: Scene, mark: str) -> None:
    """A name like ours, a marker that nobody could make without our keys, or one copied from elsewhere."""
    account, name = account_of(ended(world, scene)), "liferay_online_of_old"
    other = marker.make(request="x", instance_id=scene.instance_id + 1, name=name, keys=world.runtime.keys)
    marks = {"none": None, "forged": f"{scene.public_id}.{'0' * 64}", "copied": account.marker}
    put(world, scene, name, marks.get(mark, other))
    put(world, scene, account.name, None if mark == "none" else "theirs")
    world.clock.advance(seconds=1)
    swept = clean_up(world)
    assert (swept.gone, swept.found, len(swept.told)) == (0, 0, 2)
    assert all("not proven: left alone" in told for told in swept.told)
    assert there(world) == [name, account.name]
    assert {level for level, _ in said(world)} == {Level.WARNING}
    assert "access.looks_like_ours" in events(scene)
    assert broken() == []


def test_p11_a_leftover_is_retried_for_ever_and_named_when_it_is_stuck(world: World, scene: Scene) -> None:
    """Noted, tried with growing pauses by the removal job, under Needs attention after three failures; then gone."""
    account = account_of(ended(world, scene))
    put(world, scene, account.name, account.marker)
    world.clock.advance(seconds=1)
    has_fault(world, scene, Fault.DOES_NOTHING)
    assert (clean_up(world).gone, there(world)) == (0, [account.name])
    removal = world.app.extensions["tempadmin.jobs"]["removal"]
    pauses = []
    for _ in range(6):
        db.session.rollback()
        due = db.session.scalars(select(Leftover.next_attempt_at)).one()
        pauses.append((due - world.clock.now()).total_seconds())
        world.clock.time = due
        removal.run(world.runtime)
    assert all(later > earlier for earlier, later in zip(pauses, pauses[2:], strict=False))
    assert any(level is Level.ERROR and "must go and is still there" in message for level, message in said(world))
    page = world.signed_in(scene.address)
    page.get("/jobs")
    assert "Accounts left over" in page.text
    assert account.name in page.text
    has_fault(world, scene, None)
    db.session.rollback()
    world.clock.time = db.session.scalars(select(Leftover.next_attempt_at)).one()
    assert removal.run(world.runtime) == "0 made, 0 removed, 1 leftovers gone"
    assert there(world) == []
    assert db.session.scalars(select(Leftover)).all() == []
    assert said(world)[0][0] is Level.OK


def test_p11_a_directory_that_does_not_answer_holds_up_nothing_else(world: World, scene: Scene) -> None:
    """It is told of; what another instance left over goes all the same."""
    has_fault(world, scene, Fault.REFUSES)
    other = new_scene(world, State.ACTIVE)
    world.clock.advance(days=2)
    swept = clean_up(world)
    assert (swept.gone, swept.found) == (1, 1)
    assert len(swept.told) == 1
    assert "its directory was not read: the directory refuses" in swept.told[0]
    assert world.request(other.request_id).state == State.ENDED
    assert [level for level, _ in said(world)] == [Level.WARNING]
    assert any("does not say what it has" in message for message in broken())


def test_p11_a_late_create_whose_request_has_ended_is_noted_and_goes(world: World, scene: Scene) -> None:
    """The directory took longer than twice its time-out, and then would not remove it either."""
    bring(world, scene, State.PROVISIONING)
    connector = world.app.extensions["tempadmin.connectors"][DRILL]
    real_reach = connector.reach

    @contextmanager
    def reach(instance_id: int) -> Iterator[object]:
        with real_reach(instance_id) as directory:
            directory.add = partial(late, directory.add)
            yield directory

    def late(real_add: Callable[[object], None], account: object) -> None:
        connector.reach = real_reach
        end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=scene.actor, runtime=world.runtime)
        world.clock.advance(minutes=1)
        world.app.extensions["tempadmin.jobs"]["removal"].run(world.runtime)
        assert world.request(scene.request_id).state == State.ENDED
        real_add(account)
        has_fault(world, scene, Fault.DOES_NOTHING)

    connector.reach = reach
    provision(request_id=scene.request_id, runtime=world.runtime)
    db.session.rollback()
    assert db.session.scalars(select(Leftover.why)).all() == ["it was made after its request had ended"]
    has_fault(world, scene, None)
    world.clock.advance(minutes=1)
    world.app.extensions["tempadmin.jobs"]["removal"].run(world.runtime)
    assert there(world) == []
    assert broken() == []
    assert [user.id for user in db.session.scalars(select(User).where(User.kind == "temporary"))] == []
    assert db.session.scalars(select(LoginSession.id).where(LoginSession.access_request_id.is_not(None))).all() == []


def test_p10_an_account_that_goes_while_its_directory_is_read_is_no_fault(world: World, scene: Scene) -> None:
    """What the directory said is old by the time that our tables are read; its request had a right to it then."""
    bring(world, scene, State.ACTIVE)
    connector = world.app.extensions["tempadmin.connectors"][DRILL]
    found = list(connector.listed(scene.instance_id))

    def stale(_instance_id: int) -> object:
        end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=scene.actor, runtime=world.runtime)
        return found

    connector.listed = stale
    assert [reading.strays for reading in directories.read_all(world.runtime)] == [[]]
    assert world.request(scene.request_id).state == State.ENDED


def test_a_young_stray_is_left_to_the_other_paths(world: World, scene: Scene) -> None:
    """The age counts from its request's end, as everywhere in the clean-up."""
    account = account_of(ended(world, scene))
    put(world, scene, account.name, account.marker)
    world.clock.advance(hours=1)
    assert sweep(min_age=timedelta(hours=2), runtime=world.runtime).found == 0
    assert sweep(min_age=timedelta(minutes=59), runtime=world.runtime).gone == 1
