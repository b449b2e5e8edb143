"""What nobody needs any more is forgotten daily, and nothing else is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from tempadmin.accounts import housekeeping, invitations
from tempadmin.accounts.models import Invitation, LoginSession, Throttle
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db, transaction
from tempadmin.jobs import jobs
from tempadmin.outbox.models import OutboxMessage
from tests.accounts.people import ACME, MIA, alive, answer, member
from tests.world import World


def count(model: type) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def counter(world: World, key: str, *, days: float, blocked: bool = False) -> None:
    at = world.clock.now() - timedelta(days=days)
    with transaction() as session:
        session.add(Throttle(key=key, failures=5, updated_at=at, blocked_until=at if blocked else None))


def left(world: World) -> list[str]:
    housekeeping.tidy(world.runtime)
    db.session.rollback()
    return sorted(db.session.scalars(select(Throttle.key)))


def test_the_job_is_registered_and_runs_daily(world: World) -> None:
    """It says what it did."""
    job = jobs(world.app)["housekeeping"]
    assert job.schedule == "40 3 * * *"
    assert job.run(world.runtime) == "0 counters, 0 ceilings, 0 invitations, 0 sessions, 0 mails forgotten"


def test_counters_go_after_a_day_and_paused_ones_after_a_week(world: World) -> None:
    """Those that may still hold somebody up stay."""
    counter(world, "fresh", days=0.9)
    counter(world, "old", days=1.1)
    counter(world, "paused", days=6.9, blocked=True)
    counter(world, "long-paused", days=7.1, blocked=True)
    assert left(world) == ["fresh", "paused"]


def test_a_running_pause_is_never_forgotten(world: World) -> None:
    """Whatever the job does, the sixth guess waits."""
    member(world)
    browser = world.signed_in(MIA, ACME)
    form = {"present": "wrong password", "password": "x" * 20, "password_again": "x" * 20}
    for _ in range(5):
        answer(browser, "/account/password", form)
    housekeeping.tidy(world.runtime)
    assert answer(browser, "/account/password", form) == 429


def test_invitations_go_thirty_days_after_their_end(world: World) -> None:
    """Used, replaced and expired ones; one that still works stays, whatever its age."""
    mia = member(world)
    with transaction():
        invitations.invite(user=mia, purpose="join", now=world.clock.now(), runtime=world.runtime)
    world.clock.advance(days=32)
    with transaction():
        invitations.invite(user=mia, purpose="join", now=world.clock.now(), runtime=world.runtime)
    housekeeping.tidy(world.runtime)
    assert count(Invitation) == 2  # the first was replaced only now
    world.clock.advance(days=31)
    housekeeping.tidy(world.runtime)
    assert count(Invitation) == 1
    world.clock.advance(days=3)
    housekeeping.tidy(world.runtime)
    assert count(Invitation) == 0


def test_sessions_go_ninety_days_after_their_end(world: World) -> None:
    """Ended ones and lapsed ones; the one that still acts stays, and so does the record."""
    member(world)
    world.signed_in(MIA, ACME)
    ended = world.signed_in(MIA, ACME)
    ended.get("/logout")
    ended.post("/logout")
    world.clock.advance(days=89)
    housekeeping.tidy(world.runtime)
    assert count(LoginSession) == 2
    world.clock.advance(days=2)
    living, events = world.signed_in(MIA, ACME), count(AuditEvent)
    housekeeping.tidy(world.runtime)
    assert count(LoginSession) == 1
    assert alive(living, ACME)
    assert count(AuditEvent) == events


def test_the_session_of_an_access_that_is_not_over_stays(world: World) -> None:
    """An access that could not be ended for ninety days still has its session, for whoever ends it at last."""
    world.omniadmin()
    world.instance("acme")
    world.enter(world.signed_in())
    world.clock.advance(days=91)
    housekeeping.tidy(world.runtime)
    db.session.rollback()
    assert [row.is_support for row in db.session.scalars(select(LoginSession))] == [True]


def test_mails_go_ninety_days_after_they_were_sent(world: World) -> None:
    """Sent ones and those that were given up; one that still waits stays."""
    now = world.clock.now()
    old = now - timedelta(days=91)
    with transaction() as session:
        for sent_at, next_at in ((old, None), (None, None), (None, now), (now, None)):
            row = OutboxMessage(template="x", recipient=MIA, ids="{}", created_at=old)
            row.sent_at, row.next_attempt_at = sent_at, next_at
            session.add(row)
    housekeeping.tidy(world.runtime)
    assert count(OutboxMessage) == 2


def test_much_is_forgotten_in_small_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one batch is deleted, each in a transaction of its own."""
    monkeypatch.setattr(housekeeping, "BATCH", 3)
    for number in range(7):
        counter(world, f"old-{number}", days=2)
    assert housekeeping.tidy(world.runtime).startswith("7 counters")
    assert count(Throttle) == 0
