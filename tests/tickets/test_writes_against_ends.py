"""P3: writes of a support session against its end – before the end is acknowledged, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import func, select

from tempadmin.accounts.models import User
from tempadmin.audit.log import SERVICE
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tests.browser import Browser
from tests.conftest import POSTGRESQL, Build
from tests.tickets.evidence import assert_refused, at_once, faults, thief, workers
from tests.tickets.locks import BEFORE_RECHECK, overlap
from tests.tickets.scenes import Scene, assert_nothing_left, new_scene
from tests.world import World
from tickets.end import end_access
from tickets.states import EndReason, State

WRITERS = 8


@pytest.fixture
def world(build: Build) -> World:
    return build(rate_limits=False)


@pytest.fixture
def inside(world: World) -> Scene:
    return new_scene(world, State.ACTIVE)


def at_the_form(world: World, scene: Scene) -> Browser:
    browser = thief(world, scene.support, scene.base)
    assert browser.get(f"{scene.base}/users/invite").status_code == 200
    return browser


def invite(browser: Browser, scene: Scene, number: int = 0) -> int:
    form = {"full_name": f"Per Holm {number}", "email": f"per{number}@acme.example", "role": "member"}
    return browser.post(f"{scene.base}/users/invite", form).status_code


def end(world: World, scene: Scene) -> None:
    end_access(request_id=scene.request_id, reason=EndReason.ENDED_BY_OMNIADMIN, actor=SERVICE, runtime=world.runtime)


def numbers_of(event: str, scene: Scene) -> list[int]:
    """The places that an event has in the instance's chain."""
    db.session.rollback()
    query = select(AuditEvent.number).where(AuditEvent.event == event, AuditEvent.instance_id == scene.instance_id)
    return list(db.session.scalars(query))


def invited(scene: Scene) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).where(User.email.startswith("per"))) or 0


def test_p3_a_write_that_has_everything_but_its_commit_dies_with_its_session(
    world: World, inside: Scene, database: str
) -> None:
    """The end comes after the write's last statement: it is not held up, and the write looks again and is undone."""
    with workers(world, 2) as (one, other):
        browser = at_the_form(one, inside)
        status, _ = overlap(
            (one, lambda: invite(browser, inside)),
            (other, lambda: end(other, inside)),
            at="user.invited",
            stop=BEFORE_RECHECK,
        )
    # SQLite has one writer: there the end waits, and is acknowledged after the write.
    assert (status, invited(inside)) == ((403, 0) if database == POSTGRESQL else (303, 1))
    assert_refused(thief(world, inside.support, inside.base), inside.base)
    assert_nothing_left(world, inside)


def test_p3_an_end_waits_for_the_write_that_is_already_committing(world: World, inside: Scene) -> None:
    """Once the write holds its session's row the end comes after it: kept, and on record before the end."""
    with workers(world, 2) as (one, other):
        browser = at_the_form(one, inside)
        status, _ = overlap(
            (one, lambda: invite(browser, inside)), (other, lambda: end(other, inside)), at="user.invited"
        )
    assert (status, invited(inside)) == (303, 1)
    assert numbers_of("user.invited", inside) < numbers_of("access.ending", inside)
    assert_refused(thief(world, inside.support, inside.base), inside.base)
    assert_nothing_left(world, inside)


def test_p3_a_write_that_comes_during_the_end_is_refused(world: World, inside: Scene) -> None:
    """The end is about to commit: whatever waits for it finds the session over."""
    with workers(world, 2) as (one, other):
        browser = at_the_form(other, inside)
        _, status = overlap(
            (one, lambda: end(one, inside)), (other, lambda: invite(browser, inside)), at="access.ending"
        )
    assert (status, invited(inside)) == (403, 0)
    assert_nothing_left(world, inside)


def test_p3_nothing_is_written_after_an_end_of_many_writes_at_once(world: World, inside: Scene) -> None:
    """Eight forms and the end at a barrier: what was answered *done* is there, the rest is not, the end is last."""
    with workers(world, 3) as others:
        browsers = [at_the_form(others[number % 3], inside) for number in range(WRITERS)]
        closer = at_the_form(others[0], inside)

        def leaving() -> int:
            return closer.post(f"{inside.base}/support-session/leave").status_code

        calls: list[Callable[[], int]] = [partial(invite, one, inside, number) for number, one in enumerate(browsers)]
        statuses = at_once([*calls, leaving])
    assert set(statuses) <= {303, 403}
    assert statuses[-1] == 303
    assert invited(inside) == statuses[:-1].count(303) == len(numbers_of("user.invited", inside))
    assert max(numbers_of("user.invited", inside), default=0) < numbers_of("access.ending", inside)[0]
    assert faults(world) == []
    assert_nothing_left(world, inside)
