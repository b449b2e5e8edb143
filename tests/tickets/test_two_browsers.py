"""Design §4.5: two browsers in one hand-off – the later code counts, a mismatch costs its code, never the ticket."""

from __future__ import annotations

from sqlalchemy import func, select

from tempadmin.accounts.models import LoginSession
from tempadmin.db import db
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.conftest import Build
from tests.tickets.evidence import at_once, code_in, events, faults, to_return, workers
from tests.tickets.locks import overlap
from tests.tickets.scenes import Scene, new_scene
from tests.world import World
from tickets.models import Ticket
from tickets.states import State

BROWSERS = 12


def ticket_of(scene: Scene) -> Ticket:
    db.session.rollback()
    query = select(Ticket).where(Ticket.request_id == scene.request_id, Ticket.purpose == "login")
    return db.session.scalars(query).one()


def assert_entered_once(world: World, scene: Scene, browsers: list[Browser]) -> None:
    """One session, in one of these browsers, and a sound record."""
    assert world.request(scene.request_id).state == State.ACTIVE
    inside = select(func.count()).where(LoginSession.access_request_id == scene.request_id)
    assert db.session.scalar(inside) == 1
    assert sum(one.cookie(SESSION_COOKIE, scene.host) is not None for one in browsers) == 1
    assert events(scene.request_id).count("access.entered") == 1
    assert faults(world) == []


def test_p2_of_two_browsers_the_later_one_enters(world: World) -> None:
    """The second browser's code replaces the first one's, which is worthless then; the ticket is not."""
    scene = new_scene(world, State.READY)
    first, to_first = scene.back(world)
    second, to_second = scene.back(world)
    assert first.get(to_first).status_code == 409
    assert "Start again" in first.text
    assert ticket_of(scene).code_digest is not None  # the second browser's, which nobody has presented yet
    assert second.get(to_second).status_code == 303
    assert_entered_once(world, scene, [first, second])
    assert first.get(scene.link).status_code == 410


def test_p2_a_code_in_the_other_browser_burns_that_code_alone(world: World) -> None:
    """A code made for one browser and presented by another: 409, that code is dead, and its owner starts again."""
    scene = new_scene(world, State.READY)
    first, _ = scene.back(world)
    second, to_second = scene.back(world)
    assert first.get(to_second).status_code == 409
    ticket = ticket_of(scene)
    assert (ticket.code_digest, ticket.used_at, ticket.voided_at) == (None, None, None)
    assert second.get(to_second).status_code == 409
    assert second.get(to_return(second, scene.link)).status_code == 303
    assert_entered_once(world, scene, [first, second])


def test_p2_a_mismatch_does_not_burn_the_code_that_replaced_it(world: World) -> None:
    """Presenting a replaced code, again and again, leaves the newer one as it is."""
    scene = new_scene(world, State.READY)
    first, to_first = scene.back(world)
    second, to_second = scene.back(world)
    assert [first.get(to_first).status_code for _ in range(3)] == [409] * 3
    assert second.get(to_second).status_code == 303
    assert_entered_once(world, scene, [first, second])


def test_p2_many_browsers_that_fetch_codes_at_once_leave_one_code(build: Build) -> None:
    """Twelve browsers over four workers are given codes at once: one of the codes works, and eleven do not."""
    world = build(rate_limits=False)
    scene = new_scene(world, State.READY)
    with workers(world, 4) as others:
        browsers = [scene.browser(one) for one in others * (BROWSERS // 4)]
        backs = at_once([lambda one=one: to_return(one, scene.link) for one in browsers])  # type: ignore[misc]
        assert len({code_in(back) for back in backs}) == BROWSERS
        pairs = zip(browsers, backs, strict=True)
        statuses = at_once([lambda one=one, back=back: one.get(back).status_code for one, back in pairs])  # type: ignore[misc]
    assert statuses.count(303) == 1
    assert set(statuses) <= {303, 409, 410}
    assert_entered_once(world, scene, browsers)


def test_p2_a_code_that_is_replaced_while_its_owner_returns(build: Build) -> None:
    """Both orders of *another browser fetches a code* and *this one returns*: the first to commit decides."""
    world = build(rate_limits=False)
    for replaced_first in (True, False):
        scene = new_scene(world, State.READY)
        with workers(world, 2) as (one, other):
            first, to_first = scene.back(one)
            second = scene.browser(other)
            console = second.get(scene.link).headers["Location"]
            returning = (one, lambda first=first, to_first=to_first: first.get(to_first).status_code)
            fetching = (other, lambda second=second, console=console: second.get(console).status_code)
            if replaced_first:
                fetched, returned = overlap(fetching, returning, at="access.code_issued")
            else:
                returned, fetched = overlap(returning, fetching, at="access.entered")
        assert (returned, fetched) == ((409, 303) if replaced_first else (303, 409))
        assert faults(world) == []
        if not replaced_first:
            assert_entered_once(world, scene, [first, second])
