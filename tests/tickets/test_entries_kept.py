"""What is kept of an account elsewhere: more time for it, what a restore makes of it, and what doctor says of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from instances.connectors.base import ConnectorError
from instances.connectors.drill import Fault, set_fault
from tempadmin.accounts.models import LoginSession, SecondFactor
from tempadmin.audit.log import SERVICE
from tempadmin.backup.anew import begin_anew
from tempadmin.db import db, transaction
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tempadmin.web.security import SESSION_COOKIE
from tests.tickets.asked import change
from tests.tickets.evidence import events, faults, with_cookie
from tests.tickets.faraway import there
from tests.tickets.scenes import Scene, assert_nothing_left, bring
from tests.tickets.vault import Vault, put_in, raising, scene_with
from tests.world import REASON, World
from tickets import belongings, credential
from tickets.activation import activate_due
from tickets.doctor import what_does_not_fit
from tickets.end import end_access
from tickets.expire import expire_due, retry_due
from tickets.extend import extend
from tickets.models import AccessRequest
from tickets.states import EndReason, State
from tickets.telling import record_of

HOUR = timedelta(hours=1)


@pytest.fixture
def vault(world: World) -> Vault:
    return put_in(world)


@pytest.fixture
def scene(world: World, vault: Vault) -> Scene:
    """Somebody is inside, and has not looked at the password yet."""
    scene = scene_with(world, vault)
    bring(world, scene, State.ACTIVE)
    return scene


def more_time(world: World, scene: Scene) -> AccessRequest:
    with transaction() as session:  # as if the code that confirmed were of long ago
        session.execute(update(SecondFactor).values(last_step=0))
    facts: dict[str, Any] = {"reason": REASON, "added": HOUR, "answer": world.code(), "runtime": world.runtime}
    assert extend(request_id=scene.request_id, user_id=scene.user_id, **facts)
    return world.request(scene.request_id)


def test_more_time_moves_the_end_there_too_and_leaves_the_password(world: World, scene: Scene, vault: Vault) -> None:
    """A directory that knows a limit is told the new one; what was shown goes on to work, and nothing is shown anew."""
    shown = credential.show(request_id=scene.request_id, actor=scene.actor, runtime=world.runtime)
    request = more_time(world, scene)
    name = request.account_name or ""
    assert vault.ends[name] == request.ends_at == (request.started_at or world.clock.now()) + 2 * HOUR
    assert vault.passwords[name] == shown
    assert (request.sealed_credential, request.next_attempt_at, request.last_error) == (None, None, None)
    world.clock.advance(minutes=119)
    expire_due(world.runtime)
    assert world.request(scene.request_id).state == State.ACTIVE
    inside = with_cookie(world, scene.base, SESSION_COOKIE, scene.support)
    assert inside.get(f"{scene.base}/support-session").status_code == 200


def test_p11_more_time_that_the_directory_has_not_heard_of_is_told_again(
    world: World, scene: Scene, vault: Vault
) -> None:
    """The access goes on here; the page says that the product knows the old end, and the job goes on."""
    set_fault(scene.instance_id, Fault.REFUSES, until=world.clock.now() + timedelta(seconds=20))
    request = more_time(world, scene)
    assert (request.last_error, request.activated_at is not None) == ("the directory refuses", True)
    browser = scene.browser(world)
    browser.get(f"{scene.base}/support-session")
    assert "has not heard of your additional time yet" in browser.text
    world.clock.advance(minutes=3)
    activate_due(world.runtime)
    request = world.request(scene.request_id)
    assert vault.ends[request.account_name or ""] == request.ends_at
    assert request.last_error is None


@pytest.mark.only_sqlite
def test_p11_doctor_names_who_is_not_let_in(world: World, vault: Vault) -> None:
    """With what the directory said, and what to do; a warning, for nothing is lost and nothing is left behind."""
    scene = scene_with(world, vault)
    vault.before["enable"] = raising(ConnectorError("the group admins does not exist", permanent=True))
    bring(world, scene, State.ACTIVE)
    (found,) = what_does_not_fit(world.runtime)
    told = record_of(world.request(scene.request_id))
    assert (told["entry"], told["let_in"]) == ("credential", None)
    assert told["let_in_error"] == "the group admins does not exist"
    assert found.level is Level.WARNING
    assert "is not let in at" in found.message
    assert "the group admins does not exist" in found.message


def test_p1_more_time_that_comes_while_it_is_let_in_is_not_forgotten(world: World, vault: Vault) -> None:
    """The directory was told the old end by an attempt that was on its way: it is told the new one after it."""
    scene = scene_with(world, vault)
    bring(world, scene, State.READY)
    vault.before["enable"] = lambda _account: more_time(world, scene)
    scene.browser(world).get(scene.link, follow=True)
    world.clock.advance(seconds=30)
    activate_due(world.runtime)
    request = world.request(scene.request_id)
    assert vault.ends[request.account_name or ""] == request.ends_at
    assert request.next_attempt_at is None


@pytest.mark.only_sqlite
def test_p12_a_restored_database_keeps_no_password(world: World, scene: Scene, vault: Vault) -> None:
    """Every access of the backup ends: what it would still show is erased, and the account goes."""
    assert world.request(scene.request_id).sealed_credential is not None
    begin_anew(actor=SERVICE, runtime=world.runtime)
    assert world.request(scene.request_id).sealed_credential is None
    retry_due(world.runtime)
    assert there(world) == []
    assert_nothing_left(world, scene)


SPOILED: dict[str, tuple[str, Callable[[AccessRequest], dict[str, Any]], str]] = {
    "shown and kept": ("P12", lambda one: {"credential_shown_at": one.started_at}, "keeps a password"),
    "in plain": ("P12", lambda _: {"sealed_credential": "swordfish"}, "cannot be opened"),
    "let in early": ("P5", lambda _: {"started_at": None}, "nobody had come by its link"),
    "shown in vain": (
        "P5",
        lambda one: {"credential_shown_at": one.started_at, "activated_at": None},
        "was shown that lets nobody in",
    ),
    "forgotten": ("P11", lambda _: {"activated_at": None}, "nobody lets the account"),
    "entered by nothing": ("P1", lambda _: {"entry": "by the window"}, "entered by 'by the window'"),
}


@pytest.mark.only_sqlite
@pytest.mark.parametrize("spoiled", SPOILED)
def test_p1_to_p13_doctor_names_what_does_not_fit(world: World, scene: Scene, spoiled: str) -> None:
    """A healthy access elsewhere keeps every promise; each change by hand is found under its number."""
    assert [line.finding.message for line in examine_promises() if line.finding.level is not Level.OK] == []
    promise, values, words = SPOILED[spoiled]
    change(AccessRequest, scene.request_id, **values(world.request(scene.request_id)))
    found = [line for line in examine_promises() if line.finding.level is not Level.OK]
    assert any(line.check == promise and words in line.finding.message for line in found), found


def test_what_an_account_made_is_told_to_everybody_concerned(world: World, scene: Scene, vault: Vault) -> None:
    """Asked before it goes, once; in the record, on the request's page and on the customer's."""
    vault.made = ["table invoices", "table " + "x" * 300, *[f"table t{number}" for number in range(200)]]
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=SERVICE, runtime=world.runtime)
    assert vault.steps.index("made_by") < vault.steps.index("disable")
    assert events(scene.request_id)[-2:] == [belongings.FOUND, "access.ended"]
    told = belongings.told(world.request(scene.request_id)) or ""
    assert told.startswith("table invoices; table xxx")
    assert told.endswith(" more")
    assert len(told) < 1020
    assert record_of(world.request(scene.request_id))["made_there"] == told
    browser = scene.browser(world)
    assert "What it had made at" in browser.text
    assert browser.text.index("Logged out") < browser.text.index("table invoices") < browser.text.index("deleted")
    assert faults(world) == []


@pytest.mark.only_sqlite
@pytest.mark.parametrize("error", [ConnectorError("no rights to look"), RuntimeError("unforeseen")])
def test_p11_a_directory_that_cannot_tell_hinders_no_removal(
    world: World, scene: Scene, vault: Vault, error: Exception
) -> None:
    """Whatever becomes of the question: the account goes at once, and its request ends."""
    vault.before["made_by"] = raising(error)
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=SERVICE, runtime=world.runtime)
    assert there(world) == []
    assert world.request(scene.request_id).state == State.ENDED
    assert belongings.FOUND not in events(scene.request_id)


@pytest.mark.only_sqlite
def test_nobody_is_asked_what_an_unused_account_made(world: World, vault: Vault) -> None:
    """Nobody came in by it: one question less at the end."""
    scene = scene_with(world, vault)
    bring(world, scene, State.READY)
    end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)
    assert vault.steps == ["disable", "delete"]
    sessions = db.session.query(LoginSession).filter_by(access_request_id=scene.request_id).count()
    assert sessions == 0
