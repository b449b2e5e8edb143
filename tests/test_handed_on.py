"""What a test finds in a PostgreSQL database that another test used before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from tempadmin.accounts.models import User
from tempadmin.accounts.omniadmins import create_omniadmin
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tests.handed_on import HandedOn
from tests.postgresql import Cluster
from tests.world import make_world

pytestmark = pytest.mark.postgresql


@pytest.fixture
def databases(cluster: Cluster) -> Iterator[HandedOn]:
    """A set of their own, so that nothing is free at first."""
    with closing(HandedOn(cluster)) as made:
        yield made


def fill(databases: HandedOn, name: str, folder: Path) -> int:
    """Have a person there, and an audit event that says so; return their id."""
    world = make_world(folder, database_url=databases.cluster.url(name))
    with world.app.app_context():
        home = world.default_instance().id
        create_omniadmin(instance_id=home, email="a@o.example", full_name="Ada", runtime=world.runtime)
        assert db.session.scalars(select(AuditEvent.id)).all() == [1]
        found = db.session.scalars(select(User.id)).one()
        db.session.remove()
        db.engine.dispose()
    return found


def test_what_is_handed_on_holds_the_templates_rows_alone(
    databases: HandedOn, empty_postgresql: str, tmp_path: Path
) -> None:
    """What was added is gone, append-only tables included, what was changed is back, and the next id is the first."""
    name = databases.take(empty_postgresql)
    first = fill(databases, name, tmp_path)
    with databases.cluster.connect(name) as connection:
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    databases.give_back(name)
    again = databases.take(empty_postgresql)
    with databases.cluster.connect(again) as connection:
        for table in ("users", "virtual_instances", "audit_heads", "audit_events"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == version
    assert fill(databases, again, tmp_path) == first
    databases.give_back(again)


def test_the_same_database_serves_again_under_another_name(databases: HandedOn, empty_postgresql: str) -> None:
    """Nobody who kept the old name, or a connection, reaches what the next test does."""
    name = databases.take(empty_postgresql)
    kept = databases.cluster.connect(name)
    number = kept.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    databases.give_back(name)
    again = databases.take(empty_postgresql)
    with databases.cluster.connect(again) as connection:
        found = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    assert found == number
    with pytest.raises(psycopg.OperationalError):
        kept.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        databases.cluster.connect(name)
    databases.give_back(again)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more (id int)",
        "ALTER TABLE users DROP COLUMN full_name",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP INDEX ix_access_requests_instance_id_id",
        "CREATE FUNCTION three() RETURNS int LANGUAGE sql AS 'SELECT 3'",
        "ALTER SEQUENCE users_id_seq INCREMENT 7",
        "ALTER DATABASE {name} SET work_mem = '1MB'",
        "ALTER DATABASE {name} CONNECTION LIMIT 3",
        "INSERT INTO throttles SELECT repeat(n::text, 15), 1, null, now() FROM generate_series(1, 50000) AS n",
    ],
)
def test_a_database_that_is_no_longer_as_new_is_dropped(
    change: str, databases: HandedOn, empty_postgresql: str
) -> None:
    """A changed definition or setting, and many dead rows, never reach another test."""
    name = databases.take(empty_postgresql)
    with databases.cluster.connect(name) as connection:
        connection.execute(change.format(name=name))
    databases.give_back(name)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        databases.cluster.connect(name)
    again = databases.take(empty_postgresql)
    with databases.cluster.connect(again) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("4MB",)
    databases.give_back(again)
