"""`tempadmin doctor --invariants` sees every promise that a state can show broken, and nothing else."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from sqlalchemy import text

from tempadmin.db import db, snapshot
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tests.conftest import Build
from tests.diagnosis import doctor, healthy_world
from tests.tamper import without_triggers
from tests.world import World
from tickets.states import State

REQUEST = "(SELECT id FROM access_requests WHERE state = '{}')"
ACTIVE, WAITING, ENDED = (REQUEST.format(state) for state in (State.ACTIVE, State.AWAITING_CONFIRMATION, State.ENDED))
INSIDE = f"(SELECT id FROM users WHERE access_request_id = {ACTIVE})"
EVENTS = "INSERT INTO audit_events (instance_id, number, occurred_at, event, actor_name, request_id, details,"
EVENTS += " previous_hash, hash) SELECT instance_id, (SELECT max(number) + 7 FROM audit_events),"
EVENTS += " occurred_at, '{}', actor_name, {}, details,"
EVENTS += " previous_hash, hash FROM audit_events ORDER BY id DESC LIMIT 1"
YES = "INSERT INTO approvals (request_id, side, decision, decided_at, decided_by_id, decided_by_email)"
YES += f" SELECT id, '{{}}', 'approved', created_at, {{}}, '{{}}' FROM access_requests WHERE id = {ENDED}"

FAULTS = {
    "P1_open_request_without_account": (
        f"UPDATE access_requests SET subject_id = 1 WHERE id = {WAITING}",
        "its account is gone",
    ),
    "P1_account_without_request": (
        (
            f"UPDATE users SET access_request_id = 4711 WHERE access_request_id = {WAITING};"
            f"UPDATE access_requests SET subject_id = NULL WHERE id = {WAITING}"
        ),
        "has no request",
    ),
    "P1_account_of_an_ended_request": (
        f"UPDATE access_requests SET state = 'ended', end_reason = 'logout' WHERE id = {ACTIVE}",
        "is still there",
    ),
    "P2_two_sessions_of_one_account": (
        (
            "INSERT INTO login_sessions (digest, user_id, actor_id, actor_name, instance_id, access_request_id,"
            " created_at, last_seen_at, expires_at, idle_seconds, ended_at) SELECT 'x', user_id, actor_id, actor_name,"
            " instance_id, 4711, created_at, last_seen_at, expires_at, idle_seconds, created_at FROM login_sessions"
            f" WHERE access_request_id = {ACTIVE}"
        ),
        "has several sessions",
    ),
    "P2_active_request_without_session": (
        "UPDATE login_sessions SET ended_at = created_at",
        "has no session",
    ),
    "P2_session_that_no_request_gave": (
        f"UPDATE login_sessions SET access_request_id = NULL WHERE access_request_id = {ACTIVE}",
        "that its request did not give",
    ),
    "P2_two_used_tickets": (
        (
            "INSERT INTO tickets (request_id, purpose, digest, issued_at, expires_at, used_at) SELECT request_id,"
            f" purpose, 'x', issued_at, expires_at, used_at FROM tickets WHERE request_id = {ACTIVE}"
            " AND purpose = 'login'"
        ),
        "several tickets for one purpose",
    ),
    "P3_session_that_lives_on": (
        f"UPDATE access_requests SET state = 'ending', end_reason = 'logout' WHERE id = {ACTIVE}",
        "lives, and its request",
    ),
    "P3_page_after_the_end": (
        f"UPDATE access_requests SET ending_at = '2026-01-01 00:00:00' WHERE id = {ENDED}",
        "and was served at",
    ),
    "P4_ticket_used_when_its_time_was_over": (
        "UPDATE tickets SET expires_at = used_at WHERE used_at IS NOT NULL",
        "used when its time was over",
    ),
    "P4_ticket_used_and_voided": (
        "UPDATE tickets SET voided_at = issued_at WHERE used_at IS NOT NULL",
        "used and voided",
    ),
    "P4_live_ticket_of_the_wrong_purpose": (
        f"UPDATE tickets SET purpose = 'login' WHERE request_id = {WAITING}",
        "has a live login ticket",
    ),
    "P5_active_without_a_used_confirm_ticket": (
        f"UPDATE tickets SET used_at = NULL, voided_at = issued_at WHERE request_id = {ACTIVE} AND purpose = 'confirm'",
        "no confirm ticket of it was used",
    ),
    "P5_active_without_a_used_login_ticket": (
        f"UPDATE tickets SET used_at = NULL, voided_at = issued_at WHERE request_id = {ACTIVE} AND purpose = 'login'",
        "no login ticket of it was used",
    ),
    "P5_active_without_a_second_factor": (
        f"UPDATE access_requests SET confirmed_at = NULL WHERE id = {ACTIVE}",
        "without a second factor",
    ),
    "P5_somebody_else_inside": (
        f"UPDATE login_sessions SET actor_id = 4711 WHERE access_request_id = {ACTIVE}",
        "somebody else than its requester",
    ),
    "P6_temporary_account_with_a_factor": (
        (
            "INSERT INTO second_factors (user_id, sealed_seed, last_step, created_at)"
            f" SELECT id, '{'x' * 64}', 0, created_at FROM users WHERE id = {INSIDE}"
        ),
        "has a row in second_factors",
    ),
    "P6_temporary_account_that_signed_in": (
        f"UPDATE users SET last_sign_in_at = created_at WHERE id = {INSIDE}",
        "has a password, or has signed in",
    ),
    "P7_reserved_name_on_a_regular_account": (
        "UPDATE users SET email = 'liferay_online_9@acme.example' WHERE email = 'member@acme.example'",
        "carries a reserved name",
    ),
    "P7_omniadmin_of_a_customer": (
        "UPDATE users SET role = 'omniadmin' WHERE email LIKE '%@acme.example'",
        "has the omniadmin's role",
    ),
    "P8_asked_by_a_temporary_account": (
        f"UPDATE access_requests SET requester_id = {INSIDE} WHERE state = 'ended'",
        "was asked by a temporary account",
    ),
    "P8_decided_by_a_temporary_account": (
        YES.format("customer", INSIDE, "jon@o.example"),
        "was decided by a temporary account",
    ),
    "P9_own_approval": (YES.format("omniadmin", 1, "x@o.example"), "was decided by whoever asked"),
    "P9_own_approval_by_the_same_address": (
        YES.format("customer", 4711, "ADA@operator.example"),
        "was decided by whoever asked",
    ),
    "P11_ended_and_not_when": (
        "UPDATE access_requests SET ended_at = NULL WHERE state = 'ended'",
        "has ended, and not when",
    ),
    "P11_removal_that_nobody_goes_on_with": (
        "UPDATE access_requests SET state = 'ending', next_attempt_at = NULL WHERE state = 'ended'",
        "nobody goes on with",
    ),
    "P12_bare_ticket": ("UPDATE tickets SET digest = 'secret' WHERE used_at IS NULL", "ticket"),
    "P12_bare_code": (f"UPDATE tickets SET code_digest = '{'X' * 64}' WHERE id = 1", "ticket"),
    "P12_bare_session": ("UPDATE login_sessions SET digest = 'secret' WHERE access_request_id IS NULL", "session"),
    "P12_bare_seed": ("UPDATE second_factors SET sealed_seed = 'JBSWY3DPEHPK3PXP'", "is not sealed"),
    "P13_event_without_its_state": (EVENTS.format("access.entered", WAITING), "requested, provisioned, entered"),
    "P13_entered_twice": (EVENTS.format("access.entered", ACTIVE), "entered, entered"),
    "P13_done_after_the_end": (EVENTS.format("user.invited", ENDED), "user.invited was done in it"),
    "P13_record_of_no_request": (EVENTS.format("access.requested", "4711"), "and there is none"),
    "P13_state_without_its_event": (
        "UPDATE access_requests SET state = 'ending' WHERE state = 'ended'",
        "is ending, and its record says: requested, provisioned, confirmed, entered, ending, ended",
    ),
    "P13_chain_that_does_not_hold": ("UPDATE audit_events SET actor_name = 'Nobody' WHERE number = 1", "edited"),
}


@pytest.fixture
def healthy(build: Build, request: pytest.FixtureRequest) -> World:
    return healthy_world(build, request)


def sql(statements: str) -> None:
    """Write as a careless hand does, past the triggers of the record."""
    with without_triggers(), db.engine.begin() as connection:
        if db.engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for statement in statements.split(";"):
            connection.execute(text(statement))


def said(promise: str) -> list[str]:
    """What is found of one promise."""
    lines = [line for line in examine_promises() if line.check == promise]
    return [line.finding.message for line in lines if line.finding.level is not Level.OK]


def test_p13_a_healthy_world_keeps_every_promise(healthy: World) -> None:
    """Somebody inside, a request that waits, one that has ended: exit code 0, and a line for each promise looked at."""
    result = doctor(healthy, "--invariants")
    assert result.exit_code == 0, result.output
    assert "All is well." in result.stdout
    for promise in ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P11", "P12", "P13"):
        assert f"ok       {promise} " in result.stdout


@pytest.mark.parametrize("promise", sorted({name.partition("_")[0] for name in FAULTS}))
def test_p1_to_p13_each_broken_promise_is_named_by_its_number(promise: str, healthy: World) -> None:
    """One fault after the other: a line that was not there before says which request, account or ticket it is."""
    for name, (statements, words) in FAULTS.items():
        if name.partition("_")[0] == promise:
            before = said(promise)
            sql(statements)
            new = Counter(said(promise)) - Counter(before)
            assert any(words in message for message in new), (name, new)


def test_p11_one_broken_promise_is_enough_for_exit_code_1(healthy: World) -> None:
    """So that a script need not read."""
    sql(f"DELETE FROM users WHERE access_request_id = {WAITING}")
    result = doctor(healthy, "--invariants", "--json")
    assert result.exit_code == 1
    assert {row["check"] for row in json.loads(result.stdout) if row["level"] != "ok"} == {"P1"}


def test_p13_the_invariants_read_one_state(healthy: World) -> None:
    """However many statements a promise takes: what a service commits meanwhile is not half seen."""
    names = text("SELECT count(*) FROM access_requests WHERE instance_name = 'Renamed'")
    with snapshot():
        assert db.session.scalar(names) == 0
        with db.engine.connect().execution_options(write=True) as rival, rival.begin():
            rival.execute(text("UPDATE access_requests SET instance_name = 'Renamed'"))
        assert db.session.scalar(names) == 0
    assert db.session.scalar(names) == 3
