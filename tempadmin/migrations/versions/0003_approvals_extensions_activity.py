"""Approvals, extensions and activity; what a support session made or changed, and who was entered with consent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tempadmin.moments import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OF_REQUEST, OF_EXTENSION = sa.text("extension_id IS NULL"), sa.text("extension_id IS NOT NULL")

# The text of this revision, for good; what today's version expects is in tempadmin/audit/triggers.py.
SQLITE = {
    "activity_no_update": """
        CREATE TRIGGER activity_no_update BEFORE UPDATE ON activity
        BEGIN
            SELECT RAISE(ABORT, 'activity rows are append-only: UPDATE is refused');
        END
    """,
    "activity_no_delete": """
        CREATE TRIGGER activity_no_delete BEFORE DELETE ON activity
        BEGIN
            SELECT RAISE(ABORT, 'activity rows are append-only: DELETE is refused');
        END
    """,
    "activity_no_replace": """
        CREATE TRIGGER activity_no_replace BEFORE INSERT ON activity
        WHEN EXISTS (SELECT 1 FROM activity WHERE id = NEW.id)
        BEGIN
            SELECT RAISE(ABORT, 'activity rows are append-only: INSERT of an existing one is refused');
        END
    """,
}

FUNCTION = """
CREATE FUNCTION activity_append_only() RETURNS trigger LANGUAGE plpgsql AS $function$
DECLARE
    taken boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s WHERE id = $1)', TG_RELID::regclass)
            INTO taken USING NEW.id;
        IF NOT taken THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'activity rows are append-only: INSERT of an existing one is refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RAISE EXCEPTION 'activity rows are append-only: % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$function$
"""

POSTGRESQL = {
    "activity_append_only": """
        CREATE TRIGGER activity_append_only BEFORE INSERT OR DELETE OR UPDATE ON activity
        FOR EACH ROW EXECUTE FUNCTION activity_append_only()
    """,
    "activity_no_truncate": """
        CREATE TRIGGER activity_no_truncate BEFORE TRUNCATE ON activity
        FOR EACH STATEMENT EXECUTE FUNCTION activity_append_only()
    """,
}


def upgrade() -> None:
    """Apply."""
    # One by one: batch mode would make the tables anew, without AUTOINCREMENT (design §10).
    op.add_column("access_requests", sa.Column("subject_name", sa.String(length=200), nullable=True))
    op.add_column("access_requests", sa.Column("approved_at", UtcDateTime(), nullable=True))
    op.add_column("access_requests", sa.Column("lapses_at", UtcDateTime(), nullable=True))
    count = sa.Column("activity_count", sa.Integer(), server_default="0", nullable=False)
    op.add_column("access_requests", count)
    op.add_column("users", sa.Column("changed_in_request_id", sa.Integer(), nullable=True))
    op.create_table(
        "extensions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("added_seconds", sa.Integer(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'granted', 'refused', 'void')", name=op.f("ck_extensions_state")),
        sa.CheckConstraint("added_seconds > 0", name=op.f("ck_extensions_added")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["access_requests.id"], name=op.f("fk_extensions_request_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_extensions")),
        sa.UniqueConstraint("request_id", name=op.f("uq_extensions_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("extension_id", sa.Integer(), nullable=True),
        sa.Column("side", sa.String(length=10), nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by_id", sa.Integer(), nullable=True),
        sa.Column("decided_by_name", sa.String(length=200), nullable=True),
        sa.Column("decided_by_email", sa.String(length=254), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.CheckConstraint("side IN ('omniadmin', 'customer', 'subject')", name=op.f("ck_approvals_side")),
        sa.CheckConstraint("decision IN ('approved', 'rejected')", name=op.f("ck_approvals_decision")),
        sa.CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name=op.f("ck_approvals_decided")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["access_requests.id"], name=op.f("fk_approvals_request_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["extension_id"], ["extensions.id"], name=op.f("fk_approvals_extension_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sqlite_autoincrement=True,
    )
    for name, column, where in _unique_approvals():
        op.create_index(name, "approvals", [column, "side"], unique=True, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "activity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        sa.Column("actor_name", sa.String(length=200), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("did", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activity")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_activity_request_id_id", "activity", ["request_id", "id"])
    for statement in SQLITE.values() if _on_sqlite() else (FUNCTION, *POSTGRESQL.values()):
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    if _on_sqlite():
        for name in SQLITE:
            op.execute(f"DROP TRIGGER {name}")
    else:
        for name in POSTGRESQL:
            op.execute(f"DROP TRIGGER {name} ON activity")
        op.execute("DROP FUNCTION activity_append_only()")
    op.drop_index("ix_activity_request_id_id", table_name="activity")
    op.drop_table("activity")
    for name, _column, where in _unique_approvals():
        op.drop_index(name, table_name="approvals", sqlite_where=where, postgresql_where=where)
    op.drop_table("approvals")
    op.drop_table("extensions")
    op.drop_column("users", "changed_in_request_id")
    for column in ("activity_count", "lapses_at", "approved_at", "subject_name"):
        op.drop_column("access_requests", column)


def _unique_approvals() -> list[tuple[str, str, sa.TextClause]]:
    return [
        ("uq_approvals_request", "request_id", OF_REQUEST),
        ("uq_approvals_extension", "extension_id", OF_EXTENSION),
    ]


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
