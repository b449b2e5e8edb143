"""The migrated schema is the one that the models describe (design §10)."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from tempadmin.db import db
from tempadmin.schema import why_unusable
from tests.world import World


def is_for_alembic(_object: object, name: str | None, *_of_it: object) -> bool:
    """Alembic reads no index of expressions and no full-text table; `drift()` does (test_schema_drift.py)."""
    return "virtual_instances_search" not in (name or "")


@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index:UserWarning")
def test_the_migrated_schema_equals_the_models(world: World) -> None:
    """Alembic finds no table, column, type, index or constraint that one of them lacks."""
    with db.engine.connect() as connection:
        opts = {"compare_type": True, "compare_server_default": True, "include_object": is_for_alembic}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, db.metadata) == []
        assert why_unusable() is None


@pytest.mark.only_sqlite
def test_the_migrated_tables_are_written_like_the_models(world: World) -> None:
    """The stored CREATE statements agree, checks included, which Alembic does not compare."""
    fresh = create_engine("sqlite://")
    db.metadata.create_all(fresh)

    def checks(engine: object) -> dict[str, set[tuple[str, str]]]:
        inspector = inspect(engine)
        return {
            name: {
                (check["name"], "".join(check["sqltext"].split())) for check in inspector.get_check_constraints(name)
            }
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }

    assert checks(db.engine) == checks(fresh)
    fresh.dispose()


@pytest.mark.only_sqlite
def test_no_id_is_ever_used_twice(world: World) -> None:
    """Every table that asks for it has AUTOINCREMENT, and every table with an id of its own asks for it."""
    statements: dict[str, str] = dict(
        db.session.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all()
    )
    asking = {table.name for table in db.metadata.tables.values() if table.dialect_options["sqlite"]["autoincrement"]}
    assert {name for name in asking if "AUTOINCREMENT" not in statements[name]} == set()
    with_ids = {table.name for table in db.metadata.tables.values() if "id" in table.primary_key.columns}
    assert with_ids - asking == set()


@pytest.mark.only_sqlite
def test_an_id_is_not_used_again_after_its_row_is_gone(world: World) -> None:
    """A new account never inherits the number, and with it the history, of an old one."""
    first = world.user(world.default_instance(), "first@operator.example")
    number = first.id
    db.session.execute(text("DELETE FROM users"))
    db.session.execute(text("COMMIT"))
    assert world.user(world.default_instance(), "second@operator.example").id > number
