"""What is special to accounts that are PostgreSQL roles: names, passwords, and what they leave behind."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from instances.connectors.base import Account, ConnectorError
from instances.models import VirtualInstance
from tests.instances.conftest import MakeTemporary
from tests.instances.postgresql_directory import (
    CLOSED,
    ITS_PASSWORD,
    OWNER,
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

OID = "SELECT oid::bigint FROM pg_roles WHERE rolname = %s"


@pytest.fixture
def roles(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Roles:
    return Roles(world, birch, temporary)


@pytest.fixture
def inside(world: World, roles: Roles) -> Account:
    return let_in(world, roles)


def test_a_role_is_made_with_nothing_but_what_the_settings_name(world: World, inside: Account) -> None:
    """No attribute, a limit of connections, the end of the access as the password's; and one granted role."""
    query = """
        SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls, rolconnlimit, rolvaliduntil,
               array(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid)
        FROM pg_roles r WHERE rolname = %s
    """
    assert look(query, inside.name) == [(False, 10, world.clock.now() + timedelta(hours=1), [f'"{RIGHTS}"'])]


def test_p12_no_password_is_ever_in_the_servers_log(roles: Roles, inside: Account) -> None:
    """It logs every statement: what it gets is a SCRAM verifier, by which nobody can log in."""
    entered(inside, SECRET).close()
    roles.connector.remove(inside)
    log = (server().folder / "log").read_text()
    assert f'ALTER ROLE "{inside.name}" LOGIN' in log
    assert "PASSWORD 'SCRAM-SHA-256$4096:" in log
    assert SECRET not in log
    assert f"PASSWORD '{SECRET}" not in log
    assert log.count(ITS_PASSWORD.replace("'", "''")) == 1, "the test's own CREATE ROLE"


def test_what_it_made_is_told_and_stays_with_its_new_owner_in_every_database(roles: Roles, inside: Account) -> None:
    """Tables, schemas, functions, a database; of a closed database only how much there is."""
    server().run(f'CREATE DATABASE theirs OWNER "{inside.name}"')
    with closing(entered(inside, SECRET, dbname="theirs")) as session:
        session.execute('CREATE SCHEMA "Other"')
        session.execute('CREATE TABLE "Other".people ()')
        session.execute('CREATE FUNCTION "Other".who() RETURNS name LANGUAGE sql SECURITY DEFINER RETURN CURRENT_USER')
    with closing(entered(inside, SECRET)) as session:
        session.execute("CREATE TABLE public.invoices ()")
    told = list(roles.connector.made_by(inside))
    definer = "which runs with the rights of its owner"
    assert set(told) == {
        "database theirs",
        "schema Other in database theirs",
        'table "Other".people in database theirs',
        f'function "Other".who() in database theirs, {definer}',
        "table public.invoices in database postgres",
    }
    roles.connector.remove(inside)
    owner = "SELECT relowner::regrole::text FROM pg_class WHERE relname = %s"
    assert look(owner, "invoices") == look(owner, "people", database="theirs") == [(f'"{OWNER}"',)]


def test_what_it_made_is_told_within_bounds(roles: Roles, inside: Account) -> None:
    """Twenty things by name, and how many more; also of a database that lets nobody in."""
    roles.jam(inside)
    assert list(roles.connector.made_by(inside)) == [f"1 things in database {CLOSED}, which could not be looked into"]
    with closing(entered(inside, SECRET)) as session:
        session.execute("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
        for number in range(24):
            session.execute(f'CREATE TABLE "{inside.name}".t{number} ()')
    told = list(roles.connector.made_by(inside))
    assert len(told) == 21
    assert told[-1] == "and 6 more"


def test_p1_a_role_that_was_renamed_is_not_called_gone(roles: Roles, inside: Account) -> None:
    """Its marker proves it ours, its name does not: somebody has to look, and nothing is touched."""
    server().run(f'ALTER ROLE "{inside.name}" RENAME TO somebody')
    for call in (roles.connector.remove, roles.connector.exists):
        with pytest.raises(ConnectorError, match="it was renamed") as refused:
            call(inside)
        assert refused.value.permanent
    assert look(OID, "somebody")


@pytest.mark.parametrize("name", ['Odd "Name" of; --ours', "GROSS_ß", "n" * 63])
def test_a_name_is_kept_to_the_letter(roles: Roles, name: str) -> None:
    """Case, blanks, quotes: what is asked for is what is made, found and dropped."""
    role = roles.reserve(77)
    with roles.connector.reach(role.instance_id) as directory:  # type: ignore[attr-defined]
        account = replace(role, name=name, marker="nobody.knows")
        directory.add(account)
        (entry,) = directory.find(account)
        assert entry.name == name
        directory.disable(account, entry)
        directory.delete(account, entry)
        assert directory.find(account) == []


def test_a_name_that_the_server_would_cut_is_refused(roles: Roles) -> None:
    """64 bytes would become an account of another name, with a notice only."""
    account = replace(roles.reserve(77), name="ü" * 32)
    with roles.connector.reach(account.instance_id) as directory, pytest.raises(ConnectorError) as refused:  # type: ignore[attr-defined]
        directory.add(account)
    assert refused.value.permanent


def test_p1_a_late_activation_finds_nobody_and_makes_nobody(world: World, roles: Roles, inside: Account) -> None:
    """Even one that had seen the role before it was dropped."""
    with roles.connector.reach(inside.instance_id) as directory:  # type: ignore[attr-defined]
        (entry,) = directory.find(inside)
        roles.connector.remove(inside)
        with pytest.raises(ConnectorError) as refused:
            directory.enable(inside, entry, secret=SECRET, until=world.clock.now() + timedelta(hours=1))
    assert refused.value.permanent
    assert not look(OID, inside.name)


def test_a_superuser_does_as_well(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> None:
    """The whole way, without a right of its own that was granted."""
    roles = Roles(world, birch, temporary, user="tester", password=None)
    account = let_in(world, roles)
    with closing(entered(account, SECRET)):
        roles.makes_something(account, SECRET)
        roles.connector.remove(account)
    assert not roles.connector.exists(account)
    assert not look("SELECT member FROM pg_auth_members WHERE member = 'tester'::regrole")


def test_p1_another_role_of_the_name_is_never_changed(world: World, roles: Roles, inside: Account) -> None:
    """Somebody made it after ours was seen: it keeps its login, its password and itself."""
    with roles.connector.reach(inside.instance_id) as directory:  # type: ignore[attr-defined]
        (entry,) = directory.find(inside)
        server().run(f'ALTER ROLE "{inside.name}" RENAME TO somebody')
        server().run(f"CREATE ROLE \"{inside.name}\" LOGIN VALID UNTIL 'infinity'")
        directory.disable(inside, entry)
        directory.delete(inside, entry)
        with pytest.raises(ConnectorError):
            directory.enable(inside, entry, secret=SECRET, until=world.clock.now() + timedelta(hours=1))
    assert look("SELECT rolcanlogin, rolvaliduntil::text FROM pg_roles WHERE rolname = %s", inside.name) == [
        (True, "infinity")
    ]
