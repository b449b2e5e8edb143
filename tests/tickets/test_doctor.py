"""The doctor names requests, accounts, sessions and tickets that do not fit together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from instances.connectors.base import ConnectorError
from tempadmin.db import db
from tempadmin.doctor.findings import Finding, Level
from tests.conftest import Build
from tests.diagnosis import diagnose, healthy_world
from tests.tickets.directories import Moody, put_in
from tests.world import CONSOLE, World
from tickets.doctor import what_does_not_fit
from tickets.states import State

REQUEST = "(SELECT id FROM access_requests WHERE state = '{}')"
ACTIVE, WAITING, ENDED = (REQUEST.format(state) for state in (State.ACTIVE, State.AWAITING_CONFIRMATION, State.ENDED))
ENDING = "state = 'ending', end_reason = 'logout', ending_at = state_since"
FORGED = "INSERT INTO tickets (request_id, purpose, digest, issued_at, expires_at) SELECT request_id, "

FAULTS = {
    "account_without_request": (
        (
            f"UPDATE users SET access_request_id = 4711 WHERE access_request_id = {WAITING};"
            f"UPDATE access_requests SET subject_id = NULL, {ENDING} WHERE id = {WAITING}"
        ),
        ("account liferay_online_1_", "has no request", "tempadmin cleanup"),
    ),
    "ended_request_whose_account_exists": (
        f"UPDATE access_requests SET state = 'ended', end_reason = 'logout' WHERE id = {WAITING}",
        ("account liferay_online_1_", "is still there", "has ended"),
    ),
    "ended_request_whose_account_names_no_request": (
        (
            f"UPDATE users SET access_request_id = 4711 WHERE access_request_id = {WAITING};"
            f"UPDATE access_requests SET state = 'ended', end_reason = 'logout' WHERE id = {WAITING}"
        ),
        ("account liferay_online_1_", "is still there", "has ended"),
    ),
    "account_before_its_time": (
        f"UPDATE access_requests SET state = 'approved' WHERE id = {WAITING}",
        ("exists while its request", "is approved"),
    ),
    "open_request_whose_account_is_gone": (
        f"DELETE FROM users WHERE access_request_id = {WAITING}",
        ("is awaiting confirmation, and its account is gone", "tempadmin access end"),
    ),
    "request_with_the_account_of_another": (
        f"UPDATE access_requests SET subject_id = 1 WHERE id = {WAITING}",
        ("is awaiting confirmation, and its account is gone",),
    ),
    "live_session_of_an_ended_request": (
        f"UPDATE login_sessions SET access_request_id = {ENDED} WHERE access_request_id = {ACTIVE}",
        ("of Ada Brandt lives", "is ended"),
    ),
    "live_session_of_no_request": (
        f"UPDATE login_sessions SET access_request_id = 4711 WHERE access_request_id = {ACTIVE}",
        ("of Ada Brandt lives", "does not exist"),
    ),
    "active_request_without_a_session": (
        f"DELETE FROM login_sessions WHERE access_request_id = {ACTIVE}",
        ("is active, and has no session",),
    ),
    "active_request_whose_session_ended": (
        f"UPDATE login_sessions SET ended_at = created_at WHERE access_request_id = {ACTIVE}",
        ("is active, and has no session",),
    ),
    "two_live_tickets": (
        f"{FORGED} 'login', 'other', issued_at, expires_at FROM tickets WHERE request_id = {WAITING}",
        ("has 2 live tickets",),
    ),
    "two_live_tickets_of_one_purpose": (
        (
            f"DROP INDEX uq_tickets_live; {FORGED} purpose, 'other', issued_at, expires_at FROM tickets "
            f"WHERE request_id = {WAITING}"
        ),
        ("has 2 live tickets",),
    ),
    "a_live_ticket_inside": (
        "UPDATE tickets SET used_at = NULL WHERE purpose = 'login' AND request_id = " + ACTIVE,
        ("is active, and has a live login ticket",),
    ),
}


@pytest.fixture
def healthy(build: Build, request: pytest.FixtureRequest) -> World:
    return healthy_world(build, request)


def sql(statements: str) -> None:
    db.session.rollback()
    with db.engine.begin() as connection:
        for statement in statements.split(";"):
            connection.execute(text(statement))


def found(world: World) -> list[Finding]:
    db.session.rollback()
    return list(what_does_not_fit(world.runtime))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_named(fault: str, healthy: World) -> None:
    """Each fault, made by hand, is found and said; before it all was well."""
    statements, words = FAULTS[fault]
    assert [finding.level for finding in found(healthy)] == [Level.OK]
    sql(statements)
    lines = [f"{finding.message} – {finding.advice}" for finding in found(healthy) if finding.level is Level.ERROR]
    assert [line for line in lines if all(word in line for word in words)], lines


def late(world: World, directory: Moody) -> None:
    """A quarter of an hour has passed since the end."""
    directory.remove_error = ConnectorError("the directory is closed")
    end(world)
    sql(f"UPDATE access_requests SET ending_at = '{_before(world, minutes=16)}' WHERE state = 'ending'")


def thrice(world: World, directory: Moody) -> None:
    """Three tries have failed."""
    directory.remove_error = ConnectorError("the directory is closed")
    end(world)
    sql("UPDATE access_requests SET removal_failures = 3 WHERE state = 'ending'")


@pytest.mark.parametrize("stuck", [late, thrice])
def test_p11_a_removal_that_is_stuck_is_named(stuck: Callable[[World, Moody], None], healthy: World) -> None:
    """After three failures or a quarter of an hour, with what the directory said; a fresh one is not."""
    directory = Moody()
    put_in(healthy.app, directory)
    stuck(healthy, directory)
    said = diagnose(healthy)
    assert said.says("access", "error", "Acme Logistics", "still being removed", "the directory is closed")
    since = _before(healthy, minutes=1)
    sql(f"UPDATE access_requests SET removal_failures = 2, ending_at = '{since}' WHERE state = 'ending'")
    assert diagnose(healthy).exit_code == 0


def test_without_the_module_nothing_of_it_is_looked_at(build: Build) -> None:
    """A release that leaves on-demand access out has no such check."""
    said = diagnose(build(), TEMPADMIN_MODULES="instances,scheduler")
    assert "access" not in said.found
    assert "scheduler" in said.found


def end(world: World) -> None:
    ada = world.signed_in()
    request = db.session.execute(text("SELECT public_id FROM access_requests WHERE state = 'active'")).scalar_one()
    ada.get(f"{CONSOLE}/access/{request}")
    assert ada.post(f"{CONSOLE}/access/{request}/end").status_code == 303
    db.session.rollback()
    assert db.session.execute(text("SELECT count(*) FROM access_requests WHERE state = 'ending'")).scalar_one() == 1


def _before(world: World, **amount: float) -> datetime:
    return (world.clock.now() - timedelta(**amount)).replace(tzinfo=None)
