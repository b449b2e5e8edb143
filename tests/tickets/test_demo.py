"""The demo world's history: over, true to the record, and something to see on every page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from instances.demo import prepare
from instances.models import VirtualInstance
from tempadmin.accounts.models import TEMPORARY, LoginSession, User
from tempadmin.app import create_app
from tempadmin.audit import queries as audit_queries
from tempadmin.db import db
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tempadmin.outbox.models import OutboxMessage
from tempadmin.runtime import current_runtime
from tempadmin.settings import Settings
from tests.browser import Browser
from tests.instances.test_demo import free_port, run, served
from tickets.models import GRANTED, IMPERSONATION, REJECTED, AccessRequest, Activity, Approval, Extension
from tickets.states import State

__all__ = ["served"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, dict[str, Any]]]:
    """A new world, looked at and left as it is."""
    settings, world = prepare(tmp_path_factory.mktemp("demo"), port=8000)
    app = create_app(settings)
    with app.app_context():
        yield app, world
        db.session.remove()
        db.engine.dispose()


def count(*which: Any, of: Any = AccessRequest) -> int:
    return db.session.scalar(select(func.count()).select_from(of).where(*which)) or 0


def test_nothing_of_the_history_is_left_open(made: tuple[Flask, dict[str, Any]]) -> None:
    """Every request has ended, no account, session or mail of it is left, and each chain verifies."""
    assert count() >= 10
    assert count(AccessRequest.state != State.ENDED) == 0
    assert count(User.kind == TEMPORARY, of=User) == 0
    assert count(LoginSession.ended_at.is_(None), of=LoginSession) == 0
    assert count(OutboxMessage.next_attempt_at.is_not(None), of=OutboxMessage) == 0
    for instance_id in audit_queries.instance_ids():
        assert not list(audit_queries.verify(instance_id=instance_id, runtime=current_runtime()))


def test_p13_the_demo_world_keeps_every_promise(made: tuple[Flask, dict[str, Any]]) -> None:
    """Approvals, no's, lapses, more time, impersonation, ends of every kind: state and record agree on all of it."""
    db.session.rollback()
    assert [line.finding.message for line in examine_promises() if line.finding.level is not Level.OK] == []


def test_the_history_tells_of_everything_that_can_happen(made: tuple[Flask, dict[str, Any]]) -> None:
    """Approved by each side, rejected with a note, lapsed, extended, a user's consent, and an account vouched for."""
    assert {side for (side,) in db.session.query(Approval.side).filter(Approval.decision == "approved")} == {
        "customer",
        "omniadmin",
        "subject",
    }
    rejected = db.session.query(Approval).filter(Approval.decision == REJECTED).one()
    assert rejected.note
    assert count(Extension.state == GRANTED, of=Extension) == 1
    ends = {end for (end,) in db.session.query(AccessRequest.end_reason)}
    assert {"logout", "time_limit", "lapsed", "rejected", "ended_by_customer", "ended_by_subject"} <= ends
    consent = db.session.query(AccessRequest).filter(AccessRequest.kind == IMPERSONATION).one()
    assert (consent.end_reason, consent.activity_count > 0) == ("ended_by_subject", True)
    invited = db.session.query(User).filter(User.made_in_request_id.is_not(None)).one()
    assert not invited.unvouched


def test_s53_its_activity_is_the_recorders_own(made: tuple[Flask, dict[str, Any]]) -> None:
    """With the real person, a denied attempt among it, and as many rows as each request says."""
    rows = db.session.query(Activity, AccessRequest).join(AccessRequest, AccessRequest.id == Activity.request_id).all()
    for row, request in rows:
        assert (row.actor_id, row.actor_name) == (request.requester_id, request.requester_name)
        assert request.started_at is not None
        assert request.ending_at is not None
        assert request.started_at <= row.occurred_at <= request.ending_at
    assert ("POST", "/support-access/policy", 403) in {(row.method, row.path, row.status) for row, _ in rows}
    assert "Invited Nils Aaby" in {row.did for row, _ in rows}
    assert sum(number for (number,) in db.session.query(AccessRequest.activity_count)) == len(rows)


def test_every_page_shows_something(made: tuple[Flask, dict[str, Any]]) -> None:
    """Each customer's administrator finds history on *Support access*, and a record with what was done or decided."""
    app, world = made
    assert db.session.query(VirtualInstance).count() == 6
    for one in world["instances"]:
        base = f"http://{one['web_id']}.localhost:8000"
        browser = Browser(app, base)
        browser.get("/login")
        browser.post("/login", {name: one["administrators"][0][name] for name in ("email", "password")}, follow=True)
        assert browser.get("/support-access").status_code == 200, browser.trail
        records = db.session.query(AccessRequest.public_id).filter(AccessRequest.instance_name == one["name"]).all()
        assert records
        for (public_id,) in records:
            assert f"/support-access/{public_id}" in browser.get("/support-access").get_data(as_text=True)
            assert browser.get(f"/support-access/{public_id}").status_code == 200


def test_a_world_that_goes_on_keeps_the_policies_that_people_chose(tmp_path: Path, served: list[Settings]) -> None:
    """What --json says is what holds now: the instance's own switches, and what the settings add to them."""
    port = str(free_port())
    run("demo", "--data", str(tmp_path), "--port", port)
    for web_id, switch in (("acme", "--require-omniadmin"), ("elm-bank", "--no-require-omniadmin")):
        assert run("instance", "policy", web_id, switch, "--data", str(tmp_path)).exit_code == 0
    toml = tmp_path / "tempadmin.toml"
    toml.write_text(toml.read_text("utf-8") + "require_customer = true\n", "utf-8")
    world = json.loads(run("demo", "--data", str(tmp_path), "--json").stdout)
    said = {one["web_id"]: (one["require_customer"], one["require_omniadmin"]) for one in world["instances"]}
    assert said == {
        "acme": (True, True),
        "birch-health": (True, False),
        "cobalt": (True, True),
        "delta": (True, False),
        "elm-bank": (True, False),
    }
