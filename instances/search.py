"""What finds instances by any part of their names in no time, however many there are: an index of trigrams.

On SQLite that is a full-text table of its own (FTS5, tokenizer ``trigram``), kept by triggers; on PostgreSQL an index
of the extension ``pg_trgm``. Migrations make both; this is what today's version expects (``tempadmin.schema``).
"""

from __future__ import annotations

from sqlalchemy import DDL, Index, literal_column
from sqlalchemy.sql.ddl import ExecutableDDLElement

TABLE = "virtual_instances_search"
SHORTEST = 3
"""Characters: what is shorter has no trigram."""

SQLITE_TABLE = f"""
    CREATE VIRTUAL TABLE {TABLE} USING fts5(
        name, web_id, virtual_hostname, content='virtual_instances', content_rowid='id', tokenize='trigram'
    )
"""
MAKE_SQLITE_TABLE: ExecutableDDLElement = DDL(SQLITE_TABLE)  # type: ignore[no-untyped-call]

_COLUMNS = ("name", "web_id", "virtual_hostname")


def _note(row: str, command: str = "", word: str = "") -> str:
    """Return the statement that tells the full-text table of a row, or has it forget one."""
    values = ", ".join(f"{row}.{column}" for column in ("id", *_COLUMNS))
    return f"INSERT INTO {TABLE} ({command}rowid, {', '.join(_COLUMNS)}) VALUES ({word}{values});"  # noqa: S608


_NEW, _OLD = _note("NEW"), _note("OLD", f"{TABLE}, ", "'delete', ")
TRIGGERS = {
    "sqlite": {
        f"{TABLE}_added": f"CREATE TRIGGER {TABLE}_added AFTER INSERT ON virtual_instances BEGIN {_NEW} END",
        f"{TABLE}_removed": f"CREATE TRIGGER {TABLE}_removed AFTER DELETE ON virtual_instances BEGIN {_OLD} END",
        f"{TABLE}_changed": (
            f"CREATE TRIGGER {TABLE}_changed AFTER UPDATE OF name, web_id, virtual_hostname ON virtual_instances "
            f"BEGIN {_OLD} {_NEW} END"
        ),
    }
}

# A line break between the columns: nobody can search for one, so nothing is found across two of them.
SEARCHED = "(name || chr(10) || web_id || chr(10) || coalesce(virtual_hostname, ''))"
POSTGRESQL_INDEX = Index(
    "ix_virtual_instances_search",
    literal_column(SEARCHED).label("searched"),
    info={"postgresql": {"using": "gin", "ops": {"searched": "gin_trgm_ops"}}},
).ddl_if(dialect="postgresql")
