"""Trigrams of the names, web ids and hosts of instances: any part of them is found in no time."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The text of this revision, for good; what today's version expects is in instances/search.py.
COLUMNS = "name, web_id, virtual_hostname"
NEW, OLD = (", ".join(f"{row}.{column}" for column in ("id", *COLUMNS.split(", "))) for row in ("NEW", "OLD"))
ADD = f"INSERT INTO virtual_instances_search (rowid, {COLUMNS}) VALUES ({NEW});"
TAKE = f"INSERT INTO virtual_instances_search (virtual_instances_search, rowid, {COLUMNS}) VALUES ('delete', {OLD});"
SQLITE = (
    f"""
    CREATE VIRTUAL TABLE virtual_instances_search USING fts5(
        {COLUMNS}, content='virtual_instances', content_rowid='id', tokenize='trigram'
    )
    """,
    f"CREATE TRIGGER virtual_instances_search_added AFTER INSERT ON virtual_instances BEGIN {ADD} END",
    f"CREATE TRIGGER virtual_instances_search_removed AFTER DELETE ON virtual_instances BEGIN {TAKE} END",
    f"CREATE TRIGGER virtual_instances_search_changed AFTER UPDATE OF {COLUMNS} ON virtual_instances BEGIN {TAKE} {ADD} END",
    "INSERT INTO virtual_instances_search (virtual_instances_search) VALUES ('rebuild')",
)
POSTGRESQL = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    """
    CREATE INDEX ix_virtual_instances_search ON virtual_instances USING gin
    ((name || chr(10) || web_id || chr(10) || coalesce(virtual_hostname, '')) gin_trgm_ops)
    """,
)


def upgrade() -> None:
    """Apply."""
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    if op.get_bind().dialect.name == "postgresql":  # the extension may be somebody else's, too
        op.drop_index("ix_virtual_instances_search", table_name="virtual_instances")
        return
    for name in ("added", "removed", "changed"):
        op.execute(f"DROP TRIGGER virtual_instances_search_{name}")
    op.execute("DROP TABLE virtual_instances_search")
