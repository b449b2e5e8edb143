"""How an account that is a PostgreSQL role ends: nobody stays logged in, whoever is on the way in at that moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg
import pytest

from instances.connectors.base import Account, ConnectorError
from instances.connectors.postgresql.scram import verifier
from instances.models import VirtualInstance
from tests.instances.conftest import MakeTemporary
from tests.instances.postgresql_directory import (
    RIGHTS,
    SECRET,
    Roles,
    entered,
    let_in,
    look,
    server,
)
from tests.world import World

pytestmark = pytest.mark.only_sqlite  # our own database plays no part in this

LIVING = "SELECT pid FROM pg_stat_activity WHERE usesysid = %s"


@pytest.fixture
def roles(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Roles:
    return Roles(world, birch, temporary)


@pytest.fixture
def inside(world: World, roles: Roles) -> Account:
    return let_in(world, roles)


def oid_of(account: Account) -> int:
    ((oid,),) = look("SELECT oid::bigint FROM pg_roles WHERE rolname = %s", account.name)
    return int(oid)


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, a few seconds at most."""
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come about")


def test_p3_every_session_is_ended_wherever_it_is(roles: Roles, inside: Account) -> None:
    """Also one that took another role's name meanwhile; `VALID UNTIL` would leave them all running."""
    sessions = [entered(inside, SECRET), entered(inside, SECRET, dbname="template1"), entered(inside, SECRET)]
    sessions[2].execute(f'SET ROLE "{RIGHTS}"')
    roles.connector.remove(inside)
    for one in sessions:
        with closing(one), pytest.raises(psycopg.OperationalError):
            one.execute("SELECT 1")


def test_p3_a_login_that_is_under_way_at_the_end_is_waited_for_and_ended(roles: Roles, inside: Account) -> None:
    """It stands in no list of sessions yet, and would live on without its role (`post_auth_delay`: seen)."""
    oid = oid_of(inside)

    def late() -> None:
        session = entered(inside, SECRET, options="-c post_auth_delay=1")
        with closing(session), pytest.raises(psycopg.OperationalError):
            session.execute("SELECT pg_sleep(60)")

    person = threading.Thread(target=late)
    person.start()
    until(lambda: look("SELECT 1 FROM pg_locks WHERE locktype = 'object' AND mode = 'RowExclusiveLock'"))
    roles.connector.remove(inside)
    assert not look(LIVING, oid)
    person.join()
    assert not look(LIVING, oid)


@pytest.mark.parametrize("stubborn", [False, True])
def test_p1_a_session_that_outlives_its_role_is_ended_before_the_account_counts_as_gone(
    world: World, roles: Roles, inside: Account, monkeypatch: pytest.MonkeyPatch, *, stubborn: bool
) -> None:
    """`DROP ROLE` succeeds while somebody is logged in (seen): here it is opened, and entered, meanwhile."""
    monkeypatch.setattr("instances.connectors.postgresql.sessions.PATIENCE", 0.5)
    oid, errors = oid_of(inside), list[ConnectorError]()
    roles.makes_something(inside, SECRET)

    def remove() -> None:
        with world.app.app_context():
            try:
                roles.connector.remove(inside)
            except ConnectorError as error:
                errors.append(error)

    removal = threading.Thread(target=remove)
    with server().connect("postgres") as holds_the_table, server().connect("postgres") as holds_the_role:
        holds_the_table.execute("BEGIN; LOCK TABLE public.invoices")
        holds_the_role.execute(f'BEGIN; CREATE TABLE late (); GRANT SELECT ON late TO "{inside.name}"')
        removal.start()
        until(lambda: look("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation'"))
        server().run(f"ALTER ROLE \"{inside.name}\" LOGIN PASSWORD '{verifier(SECRET)}' VALID UNTIL 'infinity'")
        holds_the_table.execute("ROLLBACK")
        until(lambda: look("SELECT 1 FROM pg_locks WHERE NOT granted AND classid = 'pg_authid'::regclass"))
        with closing(entered(inside, SECRET)) as session:
            if stubborn:
                os.kill(session.info.backend_pid, signal.SIGSTOP)
            holds_the_role.execute("ROLLBACK")
            removal.join()
            with roles.connector.reach(inside.instance_id) as directory:  # type: ignore[attr-defined]
                assert bool(errors) == bool(directory.find(inside)) == bool(look(LIVING, oid)) == stubborn
            if stubborn:
                os.kill(session.info.backend_pid, signal.SIGCONT)
            roles.connector.remove(inside)
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
    assert not look(LIVING, oid)
    assert not roles.connector.exists(inside)


def test_p11_a_lock_that_somebody_holds_is_waited_for_another_time(roles: Roles, inside: Account) -> None:
    """The account is shut at once; its removal says what kept it, and works when the lock is gone."""
    roles.makes_something(inside, SECRET)
    with server().connect("postgres") as rival:
        rival.execute("BEGIN")
        rival.execute("LOCK TABLE public.invoices IN ACCESS SHARE MODE")
        with pytest.raises(ConnectorError, match="somebody else holds a lock") as refused:
            roles.connector.remove(inside)
        assert not refused.value.permanent
        assert not roles.lets_in(inside, SECRET)
        assert not roles.is_administrator(inside), "its rights go when it is shut"
        rival.execute("ROLLBACK")
    roles.connector.remove(inside)
    assert not roles.connector.exists(inside)


def test_p1_a_prepared_transaction_does_not_keep_an_account(roles: Roles, inside: Account) -> None:
    """It is no session, and its locks would outlast everything."""
    with closing(entered(inside, SECRET)) as session:
        session.execute("BEGIN")
        session.execute("CREATE TABLE public.half_done ()")
        session.execute("PREPARE TRANSACTION 'it''s half done'")
    roles.connector.remove(inside)
    assert not roles.connector.exists(inside)
    assert not look("SELECT gid FROM pg_prepared_xacts")


def test_p11_a_login_that_takes_for_ever_keeps_the_removal_waiting(
    roles: Roles, inside: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account is shut meanwhile, and what keeps it is said."""
    monkeypatch.setattr("instances.connectors.postgresql.sessions.PATIENCE", 0.2)
    opening = "SELECT pid FROM pg_locks WHERE locktype = 'object' AND mode = 'RowExclusiveLock'"

    def slow() -> None:
        with suppress(psycopg.OperationalError):
            entered(inside, SECRET, options="-c post_auth_delay=60").close()

    person = threading.Thread(target=slow)
    person.start()
    until(lambda: look(opening))
    with pytest.raises(ConnectorError, match="1 are being opened on the server") as refused:
        roles.connector.remove(inside)
    assert not refused.value.permanent
    assert not roles.lets_in(inside, SECRET)
    assert roles.connector.exists(inside)
    ((pid,),) = look(opening)
    server().run(f"SELECT pg_terminate_backend({pid}, 5000)")
    person.join()
    roles.connector.remove(inside)
