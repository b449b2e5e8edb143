"""The clean-up job: it finds what the other paths left behind, says why, and touches nobody at work (P10)."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update

from instances.connectors.base import Account
from instances.connectors.local import LocalConnector
from instances.connectors.registry import connectors
from instances.models import VirtualInstance
from tempadmin.accounts.models import TEMPORARY, LoginSession, User
from tempadmin.db import db, transaction
from tempadmin.jobs import jobs
from tests.conftest import Build
from tests.world import World
from tickets.expire import end_if_over
from tickets.models import AccessRequest, Ticket
from tickets.states import EndReason, State
from tickets.sweep import Remnant, find_leftovers, sweep

DAY = timedelta(hours=24)


def found(world: World, min_age: timedelta = DAY) -> list[Remnant]:
    db.session.rollback()
    return list(find_leftovers(min_age=min_age, runtime=world.runtime))


def swept(world: World, min_age: timedelta) -> tuple[int, int]:
    """How much is gone of how much."""
    outcome = sweep(min_age=min_age, runtime=world.runtime)
    return outcome.gone, outcome.found


def temporary_accounts() -> int:
    db.session.rollback()
    return len(db.session.scalars(select(User.id).where(User.kind == TEMPORARY)).all())


class Stubborn(LocalConnector):
    """A directory that says it removed the account, and did not; until it is told to obey."""

    batch = 1
    obeys = False

    def remove(self, account: Account) -> None:
        if not self.obeys:
            raise RuntimeError("the directory is down")
        super().remove(account)


def test_an_access_that_was_over_and_not_ended_is_removed(world: World, acme: VirtualInstance) -> None:
    """No scheduler ran for days: the sweep alone ends what is over and removes its account."""
    request = world.enter(world.signed_in())
    world.clock.advance(days=2)
    (leftover,) = found(world)
    assert leftover.account_name == request.account_name
    assert "time limit" in leftover.why
    assert swept(world, DAY) == (1, 1)
    assert temporary_accounts() == 0
    assert world.request(request.id).end_reason == EndReason.TIME_LIMIT
    assert found(world) == []


def test_a_removal_that_never_came_through_is_gone_on_with(world: World, acme: VirtualInstance) -> None:
    """What stands in ending is tried again, whenever it would have been due."""
    stubborn = Stubborn()
    connectors(world.app)["local"] = stubborn
    ada = world.signed_in()
    request = world.enter(ada)
    ada.post("http://acme.localhost:8000/support-session/leave", follow=True)
    assert world.request(request.id).state == State.ENDING
    world.clock.advance(days=2)
    assert swept(world, DAY) == (0, 1)
    (leftover,) = found(world)
    assert "failed" in leftover.why
    stubborn.obeys = True
    assert swept(world, DAY) == (1, 1)
    assert world.request(request.id).state == State.ENDED
    assert temporary_accounts() == 0


def test_an_account_whose_request_is_gone_is_removed(world: World, acme: VirtualInstance) -> None:
    """Made by us is proven by our own column, even when the request's row was lost."""
    request = world.ask(world.signed_in(), "acme")
    with transaction() as session:
        session.execute(delete(Ticket))
        session.execute(delete(AccessRequest).where(AccessRequest.id == request.id))
    world.clock.advance(days=2)
    assert [one.kind for one in found(world)] == ["orphan"]
    assert swept(world, DAY) == (1, 1)
    assert temporary_accounts() == 0


def test_p10_young_leftovers_and_people_at_work_are_left_alone(world: World, acme: VirtualInstance) -> None:
    """Neither an access within its limits nor one that is over for less than the age is touched."""
    ada = world.signed_in()
    request = world.enter(ada, duration="28800")
    for _ in range(10):
        world.clock.advance(minutes=29)
        assert ada.get("http://acme.localhost:8000/users").status_code == 200
    assert found(world, timedelta(seconds=1)) == []
    assert swept(world, timedelta(seconds=1)) == (0, 0)
    assert world.request(request.id).state == State.ACTIVE
    world.clock.advance(hours=5)
    assert found(world, DAY) == []


def test_p10_a_page_between_look_and_removal_saves_the_session(world: World, acme: VirtualInstance) -> None:
    """What the job saw may be true no longer when it acts: it looks again under lock."""
    request = world.enter(world.signed_in(), duration="28800")
    world.clock.advance(minutes=31)
    assert len(found(world, timedelta(seconds=1))) == 1
    with transaction() as session:
        seen = update(LoginSession).where(LoginSession.access_request_id == request.id)
        session.execute(seen.values(last_seen_at=world.clock.now()))
    assert end_if_over(request_id=request.id, runtime=world.runtime) is False
    assert world.request(request.id).state == State.ACTIVE


def test_a_regular_account_is_never_a_leftover(world: World, acme: VirtualInstance) -> None:
    """Not even one that somebody named like a temporary administrator behind our back."""
    user = world.user(acme, "liferay_online_1_2@acme.example")
    with transaction() as session:
        session.execute(update(User).where(User.id == user.id).values(screen_name="liferay_online_1_2"))
    world.clock.advance(days=30)
    assert found(world) == []


def test_the_sweep_runs_by_itself_only_where_it_is_enabled(build: Build) -> None:
    """cleanup_enabled governs the daily sweep alone; expiry and removal are always there."""
    assert set(jobs(build("off").app)) >= {"expiry", "removal"}
    assert "cleanup" not in jobs(build("off").app)
    assert jobs(build("on", cleanup_enabled=True).app)["cleanup"].schedule == "0 3 * * *"
