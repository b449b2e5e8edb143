"""S23: authority, credentials, session or instance are lost while a step is at work: it is refused, or ended at once.

Each step meets each loss twice: the loss comes when the step is about to commit, and the step comes when the loss is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from instances.registry import archive_instance
from tempadmin.accounts import change_password, omniadmins, sessions
from tempadmin.audit.log import SERVICE
from tempadmin.errors import DomainError
from tests.conftest import Build
from tests.tickets.evidence import thief, workers
from tests.tickets.locks import overlap
from tests.tickets.scenes import Scene, assert_nothing_left, live_sessions, new_scene
from tests.world import CONSOLE, PASSWORD, REASON, World
from tickets.provision import provision
from tickets.states import State

Do = Callable[[], object]
AWAITING = State.AWAITING_CONFIRMATION


@dataclass(frozen=True)
class Step:
    """What a person is at: from which state, how it is prepared, and the event of its transaction."""

    name: str
    state: State | None
    at: str
    prepare: Callable[[World, Scene], Do]


def asks(world: World, scene: Scene) -> Do:
    browser, url = scene.browser(world), f"{CONSOLE}/instances/{scene.web_id}/request-access"
    browser.get(url)
    return lambda: browser.post(url, {"reason": REASON, "duration": "3600"}).status_code


def is_provisioned(world: World, scene: Scene) -> Do:
    return lambda: provision(request_id=scene.request_id, runtime=world.runtime)


def presses(path: str) -> Callable[[World, Scene], Do]:
    def prepare(world: World, scene: Scene) -> Do:
        browser = scene.browser(world)
        return lambda: browser.post(f"{scene.page}/{path}").status_code

    return prepare


def confirms(world: World, scene: Scene) -> Do:
    browser, code = scene.browser(world), world.code()
    link = f"{CONSOLE}/access/confirm?key={scene.confirm_key}"
    return lambda: browser.post(link, {"code": code}).status_code


def fetches_a_code(world: World, scene: Scene) -> Do:
    browser = scene.browser(world)
    console = browser.get(scene.link).headers["Location"]
    return lambda: browser.get(console).status_code


def enters(world: World, scene: Scene) -> Do:
    browser, back = scene.back(world)
    return lambda: browser.get(back).status_code


def writes(world: World, scene: Scene) -> Do:
    browser, url = scene.browser(world), f"{scene.base}/users/invite"
    assert browser.get(url).status_code == 200
    form = {"full_name": "Per Holm", "email": "per@acme.example", "role": "member"}
    return lambda: browser.post(url, form).status_code


STEPS = [
    Step("ask", None, "access.requested", asks),
    Step("provision", State.PROVISIONING, "access.provisioned", is_provisioned),
    Step("send again", AWAITING, "access.confirmation_sent_again", presses("send-again")),
    Step("confirm", AWAITING, "access.confirmed", confirms),
    Step("new link", State.READY, "access.new_link", presses("new-link")),
    Step("code", State.READY, "access.code_issued", fetches_a_code),
    Step("enter", State.READY, "access.entered", enters),
    Step("write", State.ACTIVE, "user.invited", writes),
]


@dataclass(frozen=True)
class Loss:
    """What is lost, and the event of its transaction."""

    at: str
    happen: Callable[[World, Scene], None]


def is_disabled(world: World, scene: Scene) -> None:
    home = world.default_instance().id
    omniadmins.disable_omniadmin(instance_id=home, email=scene.address, runtime=world.runtime)


def changes_password(world: World, scene: Scene) -> None:
    world.clock.advance(seconds=30)
    change_password.change_password(
        user_id=scene.user_id,
        session_id=0,
        present=PASSWORD,
        new="another sentence is good, too",
        answer=world.code(),
        runtime=world.runtime,
    )


def signs_out(world: World, scene: Scene) -> None:
    for session_id in sessions.live_ids(user_id=scene.user_id):
        sessions.sign_out(session_id=session_id, runtime=world.runtime)


def is_archived(world: World, scene: Scene) -> None:
    archive_instance(web_id=scene.web_id, actor=SERVICE, runtime=world.runtime)


LOSSES = {
    "disabled": Loss("omniadmin.disabled", is_disabled),
    "password": Loss("account.password_changed", changes_password),
    "signed out": Loss("session.signed_out", signs_out),
    "archived": Loss("instance.archived", is_archived),
}


def quietly(do: Do) -> object:
    """Do it; a refusal is an answer."""
    try:
        return do()
    except DomainError as error:
        return type(error).__name__


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_s23_whatever_is_at_work_when_something_is_lost_leaves_nothing(build: Build, loss: Loss) -> None:
    """Eight steps in both orders: no answer is a 500, nothing stays open, no session lives, no account is left."""
    world = build(rate_limits=False)
    scenes = []
    with workers(world, 2) as (one, other):
        for step in STEPS:
            for loss_first in (False, True):
                scene = new_scene(world) if step.state is None else new_scene(world, step.state)
                scenes.append(scene)
                work = step.prepare(other if loss_first else one, scene)
                if loss_first:
                    lost = (one, partial(loss.happen, one, scene))
                    _, answer = overlap(lost, (other, partial(quietly, work)), at=loss.at)
                    refused = answer in (False, 302, 403, 404, 409, 410)
                else:
                    rival = (other, partial(loss.happen, other, scene))
                    answer, _ = overlap((one, partial(quietly, work)), rival, at=step.at)
                    refused = True
                assert refused, (step.name, answer)
                assert answer not in (500, 503), (step.name, answer)
                if loss.happen is not is_archived:
                    assert live_sessions(scene.user_id) == 0, step.name
                if scene.support:
                    assert thief(other, scene.support, scene.base).get(f"{scene.base}/users").status_code in (302, 404)
        assert_nothing_left(world, *scenes)
