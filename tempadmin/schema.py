"""Whether the database's schema is the one that this version was written for (design §10).

The revision that Alembic notes says which migrations ran, not what somebody did to the schema since, nor what a
migration lost on its way (batch mode silently dropped AUTOINCREMENT and triggers: measured). So the database itself
writes the expected tables down once more, in a scratch place, and both are read by the same reader: what it makes of a
type, a check or an index's WHERE is then spelt alike, and nothing of SQL is parsed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Inspector, MetaData, create_engine, event, inspect, text
from sqlalchemy.engine.interfaces import ReflectedColumn, ReflectedIndex
from sqlalchemy.engine.reflection import ObjectScope
from sqlalchemy.types import NullType

from tempadmin.db import db

MIGRATIONS = Path(__file__).parent / "migrations"
ALEMBIC_TABLE = "alembic_version"
TEMPORARY_SCHEMA = re.compile(r'"?pg_temp_[0-9]+"?\.')
# PostgreSQL casts a list of words as a whole; once it was dumped and restored, word by word (measured).
WORD, WORDS = r"('[^']*'::character varying)", r"(ARRAY\[[^]]*\])"
CASTS = (re.compile(rf"(?:\({WORD}\)|{WORD})::text\b"), re.compile(rf"(?:\({WORDS}\)|{WORDS})::text\[\]"))

Table = dict[str, str]
"""What a table is made of, each part by its name (``column email``), in words that can be compared."""

_TRIGGERS = {
    "sqlite": "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": """
        SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid, true) || ' AS ' || p.prosrc
            || CASE WHEN t.tgenabled IN ('O', 'A') THEN '' ELSE ' (disabled)' END
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
    """,
}


def revisions() -> tuple[set[str], set[str], set[str]]:
    """Return the database's revisions, this version's newest one, and all that this version knows.

    Without Alembic, which is a fifth of what a start would import: a revision's file begins with its number.
    """
    known = {file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")}
    with db.engine.connect() as connection:
        noted = inspect(connection).has_table(ALEMBIC_TABLE)
        query = text(f"SELECT version_num FROM {ALEMBIC_TABLE}")  # noqa: S608
        present = set(connection.scalars(query)) if noted else set()
    return present, {max(known)}, known


def why_unusable() -> str | None:
    """Say in one line why this version cannot work on the database and what to run; ``None`` when it can."""
    # Asked first: SQLite would make the file, and leave an empty one in a folder that was meant for something else.
    missing = is_missing()
    present, newest, known = (set(), {""}, set()) if missing else revisions()
    if present == newest:
        return None
    if not present:
        there = f"there is no database at {db.engine.url.database}" if missing else "the database was never prepared"
        return f"{there}; run: tempadmin db upgrade (is --data the folder that you mean?)"
    if present - known:
        return (
            f"the database is of a newer version of tempadmin (revision {', '.join(sorted(present))}); "
            "install that version, or restore a backup from before"
        )
    return (
        f"the database is of an older version of tempadmin (revision {', '.join(sorted(present))}); "
        "make a backup, then run: tempadmin db upgrade"
    )


def is_missing() -> bool:
    """Tell whether the embedded database's file is not there; nothing is asked of a server."""
    return db.engine.dialect.name == "sqlite" and not Path(db.engine.url.database or "").exists()


def is_behind() -> bool:
    """Tell whether the database lacks what this version needs.

    A newer one does not: while machines are upgraded one by one, those of the old version go on serving.
    """
    present, newest, known = revisions()
    return present != newest and present <= known


def is_newer() -> bool:
    """Tell whether the database has a revision that this version does not know: there is no way back from it."""
    present, _newest, known = revisions()
    return bool(present - known)


def drift() -> list[str]:
    """Return what differs from the schema that the models describe, one sentence each; needs an application context.

    Columns with type, default and nullability, keys, checks, indexes with their WHERE, triggers, and on SQLite
    AUTOINCREMENT. Nothing is changed: on PostgreSQL the scratch tables are temporary ones, which are rolled back.
    """
    with db.engine.connect() as connection:
        present = _read(connection)
        _add_triggers(connection, present)
        with _scratch(connection) as (scratch, schema):
            expected = _read(scratch, schema)
    for table in db.metadata.tables.values():
        for name, sql in table.info.get("triggers", {}).get(db.engine.dialect.name, {}).items():
            expected[table.name][f"trigger {name}"] = _plain(sql)
    present.pop(ALEMBIC_TABLE, None)
    return sorted(_differences(present, expected))


def _differences(present: dict[str, Table], expected: dict[str, Table]) -> Iterator[str]:
    for name in present.keys() - expected.keys():
        yield f"{name}: this table is not expected"
    for name, wanted in expected.items():
        found = present.get(name)
        if found is None:
            yield f"{name}: the table is missing"
            continue
        yield from (f"{name}: {part} is not expected: {found[part]}" for part in found.keys() - wanted.keys())
        for part, how in wanted.items():
            if part not in found:
                yield f"{name}: {part} is missing"
            elif found[part] != how:
                yield f"{name}: {part} is {found[part]}, expected {how}"


@contextmanager
def _scratch(connection: Connection) -> Iterator[tuple[Connection, str | None]]:
    """Make the models' tables where they do no harm: in memory, or as temporary tables that are rolled back."""
    if connection.dialect.name == "sqlite":
        engine = create_engine("sqlite://")
        with engine.connect() as memory:
            db.metadata.create_all(memory)
            yield memory, None
        engine.dispose()
        return
    # Named by its alias: what is made without a schema lands where the search path says.
    db.metadata.create_all(connection.execution_options(schema_translate_map={None: "pg_temp"}), checkfirst=False)
    try:
        yield connection, str(connection.scalar(text("SELECT pg_my_temp_schema()::regnamespace::text")))
    finally:
        connection.rollback()


@event.listens_for(db.metadata, "before_create")
def _complete_for_postgresql(target: MetaData, connection: Connection, **_: object) -> None:
    """Give PostgreSQL's indexes the conditions that SQLite's have, and what is their own besides.

    Said in the models (``postgresql_where=…``), it would import PostgreSQL's dialect wherever SQLite serves: a
    fourteenth of a start, and 2.5 MiB (measured).
    """
    if connection.dialect.name != "postgresql":
        return
    for index in [index for table in target.tables.values() for index in table.indexes]:
        own = index.dialect_options["postgresql"]
        own["where"] = index.dialect_options["sqlite"]["where"]
        own.update(index.info.get("postgresql", {}))


def _read(connection: Connection, schema: str | None = None) -> dict[str, Table]:
    """Read all tables of a schema in a handful of queries."""
    seen = inspect(connection)
    scope = ObjectScope.DEFAULT if schema is None else ObjectScope.TEMPORARY
    tables: dict[str, Table] = {}
    for (_, name), columns in seen.get_multi_columns(schema=schema, scope=scope).items():
        tables[name] = {f"column {column['name']}": _column(column, connection) for column in columns}
    for (_, name), indexes in seen.get_multi_indexes(schema=schema, scope=scope).items():
        own = [index for index in indexes if "duplicates_constraint" not in index]
        tables[name] |= {f"index {index['name']}": _index(index) for index in own}
    for name, part, how in _constraints(seen, schema, scope):
        tables[name][part] = how
    if connection.dialect.name == "sqlite":
        for name, sql in connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all():
            if name in tables and "AUTOINCREMENT" in sql.upper():
                tables[name]["AUTOINCREMENT"] = "on"
    return tables


def _constraints(seen: Inspector, schema: str | None, scope: ObjectScope) -> Iterator[tuple[str, str, str]]:
    """Yield table, part and words of keys and checks."""
    for (_, table), primary in seen.get_multi_pk_constraint(schema=schema, scope=scope).items():
        yield table, "primary key", ", ".join(primary["constrained_columns"])
    for (_, table), keys in seen.get_multi_foreign_keys(schema=schema, scope=scope).items():
        for key in keys:
            ends = f"({', '.join(key['constrained_columns'])}) to {key['referred_table']}"
            options = " ".join(f"{name} {value}" for name, value in sorted(key.get("options", {}).items()))
            columns = ", ".join(key["referred_columns"])
            yield table, f"foreign key {key['name']}", _plain(f"{ends} ({columns}) {options}")
    for (_, table), uniques in seen.get_multi_unique_constraints(schema=schema, scope=scope).items():
        for unique in uniques:
            yield table, f"unique key {unique['name']}", ", ".join(unique["column_names"])
    for (_, table), checks in seen.get_multi_check_constraints(schema=schema, scope=scope).items():
        for check in checks:
            yield table, f"check {check['name']}", _plain(check["sqltext"])


def _add_triggers(connection: Connection, tables: dict[str, Table]) -> None:
    for table, name, sql in connection.execute(text(_TRIGGERS[connection.dialect.name])).all():
        tables.setdefault(table, {})[f"trigger {name}"] = _plain(sql)


def _column(column: ReflectedColumn, connection: Connection) -> str:
    # A column of SQLite's full-text tables has no type at all.
    kind = "" if isinstance(column["type"], NullType) else column["type"].compile(connection.dialect)
    default = f" default {column['default']}" if column["default"] is not None else ""
    return _plain(f"{kind}{'' if column['nullable'] else ' not null'}{default}")


def _index(index: ReflectedIndex) -> str:
    options = index.get("dialect_options", {})
    where = options.get("sqlite_where", options.get("postgresql_where"))
    condition = f" where {where}" if where is not None else ""
    columns = ", ".join(name or "an expression" for name in index["column_names"])
    return _plain(f"{'unique ' if index['unique'] else ''}({columns}){condition}")


def _plain(sql: str) -> str:
    """Return SQL on one line, without the scratch tables' schema, and its casts of words in one way."""
    for cast in CASTS:
        sql = cast.sub(r"\1\2", sql)
    return " ".join(TEMPORARY_SCHEMA.sub("", sql).split())
