"""P3, P13: whatever is pressed at once in one access, the presses have one order, and an end beats everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from secrets import token_hex

import pytest
from sqlalchemy import select

from instances.registry import archive_instance
from tempadmin.accounts import omniadmins
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.web.security import SESSION_COOKIE
from tests.conftest import Build
from tests.tickets.evidence import at_once, events, with_cookie, workers
from tests.tickets.locks import overlap
from tests.tickets.scenes import Scene, assert_nothing_left, bring, live_sessions, new_scene, sign_in
from tests.world import CONSOLE, World
from tickets.end import end_access
from tickets.expire import end_if_over
from tickets.models import Ticket
from tickets.states import EndReason, State

Press = Callable[[], int]
Prepare = Callable[[World, Scene], Press]

ROUNDS = 2
AT_WORK, READY, AWAITING = State.ACTIVE, State.READY, State.AWAITING_CONFIRMATION


def form(path: str) -> Prepare:
    """A button of the request's page, loaded beforehand."""

    def prepare(world: World, scene: Scene) -> Press:
        browser = scene.browser(world)
        return lambda: browser.post(f"{scene.page}/{path}").status_code

    return prepare


def confirms(world: World, scene: Scene) -> Press:
    browser = scene.browser(world)
    link, code = f"{CONSOLE}/access/confirm?key={scene.confirm_key}", world.code()
    browser.get(link)
    return lambda: browser.post(link, {"code": code}).status_code


def disowns(world: World, scene: Scene) -> Press:
    browser = scene.browser(world)
    return lambda: browser.post(f"{CONSOLE}/access/not-me?key={scene.confirm_key}").status_code


def signs_out(world: World, scene: Scene) -> Press:
    browser = scene.browser(world)
    browser.get(f"{CONSOLE}/logout")
    return lambda: browser.post(f"{CONSOLE}/logout").status_code


def enters(world: World, scene: Scene) -> Press:
    browser, back = scene.back(world)
    return lambda: browser.get(back).status_code


def leaves(world: World, scene: Scene) -> Press:
    browser = scene.browser(world)
    assert browser.get(f"{scene.base}/users").status_code == 200
    return lambda: browser.post(f"{scene.base}/support-session/leave").status_code


def somebody_else_ends(world: World, scene: Scene) -> Press:
    bea = with_cookie(
        world, CONSOLE, SESSION_COOKIE, sign_in(world, world.omniadmin(f"bea-{token_hex(4)}@operator.example"))
    )
    bea.get(scene.page)
    return lambda: bea.post(f"{scene.page}/end").status_code


RIVALS: dict[State, list[Prepare]] = {
    AWAITING: [confirms, form("send-again"), form("cancel"), form("end"), somebody_else_ends, disowns, signs_out],
    READY: [form("new-link"), enters, form("cancel"), form("end"), somebody_else_ends, signs_out],
    AT_WORK: [leaves, form("cancel"), form("end"), somebody_else_ends, signs_out],
}


@pytest.mark.parametrize("state", list(RIVALS))
def test_p3_p13_simultaneous_ends_have_one_outcome(build: Build, state: State) -> None:
    """Every button that there is, each in a browser of its own, at once: one end counts, no 500, nothing is left."""
    world = build(rate_limits=False)
    for _ in range(ROUNDS):
        scene = new_scene(world, state)
        with workers(world, 3) as others:
            presses = [
                prepare(others[number % 3], scene) for number, prepare in enumerate(RIVALS[state]) for _ in range(2)
            ]
            statuses = Counter(at_once(presses))
        assert set(statuses) <= {200, 302, 303, 403, 404, 409, 410}, statuses
        told = events(scene.request_id)
        assert told.count("access.ending") == told.count("access.ended") == 1, told
        assert max(Counter(told)[one] for one in ("access.confirmed", "access.entered")) <= 1
        assert_nothing_left(world, scene)


def test_p3_confirm_against_send_again(build: Build) -> None:
    """Whichever is first: the link that was confirmed makes a login ticket, or it is void and the new one works."""
    world = build(rate_limits=False)
    for _ in range(ROUNDS * 2):
        scene = new_scene(world, AWAITING)
        with workers(world, 2) as (one, other):
            confirmed, sent = at_once([confirms(one, scene), form("send-again")(other, scene)])
        assert (confirmed, sent) in {(200, 409), (410, 303)}
        db.session.rollback()
        live = select(Ticket).where(Ticket.request_id == scene.request_id, Ticket.used_at.is_(None))
        ticket = db.session.scalars(live.where(Ticket.voided_at.is_(None))).one()
        state = world.request(scene.request_id).state
        assert (state, ticket.purpose) == ((READY, "login") if confirmed == 200 else (AWAITING, "confirm"))


STEPS = [(AWAITING, confirms, "access.confirmed"), (READY, enters, "access.entered")]


@pytest.mark.parametrize(("state", "step", "at"), STEPS, ids=["confirm", "enter"])
def test_p3_an_end_during_a_step_waits_and_then_beats_it(build: Build, state: State, step: Prepare, at: str) -> None:
    """The step is about to commit when the end comes: it is let through, and ended."""
    world = build(rate_limits=False)
    scene = new_scene(world, state)
    with workers(world, 2) as (one, other):

        def end() -> None:
            reason = EndReason.ENDED_BY_OMNIADMIN
            end_access(request_id=scene.request_id, reason=reason, actor=SERVICE, runtime=other.runtime)

        status, _ = overlap((one, step(one, scene)), (other, end), at=at)
    assert status in (200, 303)
    assert at in events(scene.request_id)
    assert_nothing_left(world, scene)


@pytest.mark.parametrize(("state", "step", "at"), STEPS, ids=["confirm", "enter"])
def test_p3_a_step_during_an_end_waits_and_is_refused(build: Build, state: State, step: Prepare, at: str) -> None:
    """The end is about to commit when the step comes: it finds the access over, and changes nothing."""
    world = build(rate_limits=False)
    scene = new_scene(world, state)
    with workers(world, 2) as (one, other):

        def end() -> None:
            end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=one.runtime)

        _, status = overlap((one, end), (other, step(other, scene)), at="access.ending")
    assert status in (409, 410)
    assert at not in events(scene.request_id)
    assert_nothing_left(world, scene)


def test_s23_a_request_that_is_made_during_the_sign_out_ends_with_it(build: Build) -> None:
    """Signing out says that it ends the person's open accesses; one that is about to commit is one of them."""
    world = build(rate_limits=False)
    scene = new_scene(world)
    with workers(world, 2) as (one, other):
        out = signs_out(other, scene)
        overlap((one, lambda: bring(one, scene, State.PROVISIONING)), (other, out), at="access.requested")
    assert live_sessions(scene.user_id) == 0
    assert_nothing_left(world, scene)


def test_s23_disabling_and_archiving_at_once_end_an_access_once(build: Build) -> None:
    """Two causes from two sides lock in one order: neither is a deadlock's victim, and one end is on record."""
    world = build(rate_limits=False)
    home = world.default_instance().id
    for state in (AWAITING, READY, AT_WORK):
        scene = new_scene(world, state)
        with workers(world, 3) as (one, other, third):

            def disable(one: World = one, scene: Scene = scene) -> None:
                with one.app.app_context():
                    omniadmins.disable_omniadmin(instance_id=home, email=scene.address, runtime=one.runtime)

            def archive(other: World = other, scene: Scene = scene) -> None:
                with other.app.app_context():
                    archive_instance(web_id=scene.web_id, actor=SERVICE, runtime=other.runtime)

            def expire(third: World = third, scene: Scene = scene) -> None:
                with third.app.app_context():
                    end_if_over(request_id=scene.request_id, runtime=third.runtime)

            at_once([disable, archive, expire])
        assert events(scene.request_id).count("access.ending") == 1
        assert_nothing_left(world, scene)
