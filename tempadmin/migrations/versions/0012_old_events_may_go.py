"""Old events and activity may go, below a checkpoint in their chain and nowhere else."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tempadmin.moments import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# The text of this revision, for good; what today's version expects is in tempadmin/audit/triggers.py and its likes.
SQLITE_CHECKPOINTS = {
    "audit_checkpoints_no_delete": """
        CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints
        BEGIN
            SELECT RAISE(ABORT, 'audit checkpoints only move forward: DELETE is refused');
        END
    """,
    "audit_checkpoints_forward": """
        CREATE TRIGGER audit_checkpoints_forward BEFORE UPDATE ON audit_checkpoints
        WHEN NEW.instance_id <> OLD.instance_id OR NEW.number <= OLD.number OR NEW.event_number <= OLD.event_number
            OR NEW.last_id <= OLD.last_id OR NEW.activity_id < OLD.activity_id
            OR NEW.first_id <> OLD.first_id OR NEW.first_hash <> OLD.first_hash OR NEW.event_number <= NEW.number
            OR NOT EXISTS (
                SELECT 1 FROM audit_events
                WHERE instance_id = NEW.instance_id AND number = NEW.number AND id = NEW.last_id AND hash = NEW.hash
            )
        BEGIN
            SELECT RAISE(ABORT, 'audit checkpoints only move forward: UPDATE is refused');
        END
    """,
    "audit_checkpoints_no_replace": """
        CREATE TRIGGER audit_checkpoints_no_replace BEFORE INSERT ON audit_checkpoints
        WHEN NEW.event_number <= NEW.number
            OR EXISTS (SELECT 1 FROM audit_checkpoints WHERE instance_id = NEW.instance_id)
            OR NOT EXISTS (
                SELECT 1 FROM audit_events
                WHERE instance_id = NEW.instance_id AND number = NEW.number AND id = NEW.last_id AND hash = NEW.hash
            )
        BEGIN
            SELECT RAISE(ABORT, 'audit checkpoints only move forward: INSERT is refused');
        END
    """,
}
SQLITE_DELETES = {
    "audit_events_no_delete": """
        CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
        WHEN EXISTS (SELECT 1 FROM audit_events WHERE instance_id = OLD.instance_id AND number < OLD.number)
            OR NOT EXISTS (
                SELECT 1 FROM audit_checkpoints AS below JOIN audit_events AS said
                ON said.instance_id = below.instance_id AND said.number = below.event_number
                WHERE below.instance_id = OLD.instance_id AND below.number >= OLD.number
                AND said.event = 'audit.checkpoint'
            )
        BEGIN
            SELECT RAISE(ABORT, 'audit events are append-only: DELETE is refused');
        END
    """,
    "activity_no_delete": """
        CREATE TRIGGER activity_no_delete BEFORE DELETE ON activity
        WHEN NOT EXISTS (
            SELECT 1 FROM audit_checkpoints AS below JOIN audit_events AS said
            ON said.instance_id = below.instance_id AND said.number = below.event_number
            WHERE below.instance_id = OLD.instance_id AND below.activity_id >= OLD.id
            AND said.event = 'audit.checkpoint'
        )
        BEGIN
            SELECT RAISE(ABORT, 'activity rows are append-only: DELETE is refused');
        END
    """,
}
FUNCTIONS = {
    "audit_checkpoints_forward": """
DECLARE
    there boolean;
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        EXECUTE format(
            'SELECT EXISTS (
                SELECT 1 FROM %I.audit_events WHERE instance_id = $1 AND number = $2 AND id = $3 AND hash = $4
            )', TG_TABLE_SCHEMA
        ) INTO there USING NEW.instance_id, NEW.number, NEW.last_id, NEW.hash;
        IF there AND NEW.event_number > NEW.number AND (
            TG_OP = 'INSERT' OR (
                NEW.instance_id = OLD.instance_id AND NEW.number > OLD.number AND NEW.event_number > OLD.event_number
                AND NEW.last_id > OLD.last_id AND NEW.activity_id >= OLD.activity_id
                AND NEW.first_id = OLD.first_id AND NEW.first_hash = OLD.first_hash
            )
        ) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit checkpoints only move forward: % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
""",
    "audit_events_only_pruned": """
DECLARE
    refused boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (
            SELECT 1 FROM (SELECT instance_id, max(number) AS number FROM gone GROUP BY instance_id) AS taken
            WHERE EXISTS (
                SELECT 1 FROM %1$s AS left_over
                WHERE left_over.instance_id = taken.instance_id AND left_over.number < taken.number
            ) OR NOT EXISTS (
                SELECT 1 FROM %2$I.audit_checkpoints AS below JOIN %1$s AS said
                ON said.instance_id = below.instance_id AND said.number = below.event_number
                WHERE below.instance_id = taken.instance_id AND below.number >= taken.number
                AND said.event = ''audit.checkpoint''
            )
        )', TG_RELID::regclass, TG_TABLE_SCHEMA
    ) INTO refused;
    IF refused THEN
        RAISE EXCEPTION 'audit events are append-only: DELETE is refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
""",
    "activity_only_pruned": """
DECLARE
    refused boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (
            SELECT 1 FROM (SELECT instance_id, max(id) AS id FROM gone GROUP BY instance_id) AS taken
            WHERE NOT EXISTS (
                SELECT 1 FROM %1$I.audit_checkpoints AS below JOIN %1$I.audit_events AS said
                ON said.instance_id = below.instance_id AND said.number = below.event_number
                WHERE below.instance_id = taken.instance_id AND below.activity_id >= taken.id
                AND said.event = ''audit.checkpoint''
            )
        )', TG_TABLE_SCHEMA
    ) INTO refused;
    IF refused THEN
        RAISE EXCEPTION 'activity rows are append-only: DELETE is refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
""",
}
POSTGRESQL = {
    "audit_checkpoints_forward": """
        CREATE TRIGGER audit_checkpoints_forward BEFORE INSERT OR DELETE OR UPDATE ON audit_checkpoints
        FOR EACH ROW EXECUTE FUNCTION audit_checkpoints_forward()
    """,
    "audit_checkpoints_no_truncate": """
        CREATE TRIGGER audit_checkpoints_no_truncate BEFORE TRUNCATE ON audit_checkpoints
        FOR EACH STATEMENT EXECUTE FUNCTION audit_checkpoints_forward()
    """,
    "audit_events_append_only": """
        CREATE TRIGGER audit_events_append_only BEFORE INSERT OR UPDATE ON audit_events
        FOR EACH ROW EXECUTE FUNCTION audit_events_append_only()
    """,
    "audit_events_only_pruned": """
        CREATE TRIGGER audit_events_only_pruned AFTER DELETE ON audit_events REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION audit_events_only_pruned()
    """,
    "activity_append_only": """
        CREATE TRIGGER activity_append_only BEFORE INSERT OR UPDATE ON activity
        FOR EACH ROW EXECUTE FUNCTION activity_append_only()
    """,
    "activity_only_pruned": """
        CREATE TRIGGER activity_only_pruned AFTER DELETE ON activity REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION activity_only_pruned()
    """,
}


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_checkpoints",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("event_number", sa.Integer(), nullable=False),
        sa.Column("archived_before", UtcDateTime(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("first_id", sa.Integer(), nullable=False),
        sa.Column("first_hash", sa.String(length=64), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.Column("activity_id", sa.Integer(), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_audit_checkpoints")),
    )
    if op.get_bind().dialect.name == "sqlite":
        for name, statement in SQLITE_DELETES.items():
            op.execute(f"DROP TRIGGER {name}")
            op.execute(statement)
        for statement in SQLITE_CHECKPOINTS.values():
            op.execute(statement)
        return
    for table in ("audit_events", "activity"):
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
    for name, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $function${body}$function$")
    for statement in POSTGRESQL.values():
        op.execute(statement)


def downgrade() -> None:
    """Take back; what was archived stays away."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table, words in (("audit_events", "audit events"), ("activity", "activity rows")):
        if sqlite:
            op.execute(f"DROP TRIGGER {table}_no_delete")
            refusal = f"SELECT RAISE(ABORT, '{words} are append-only: DELETE is refused');"
            op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN {refusal} END")
            continue
        op.execute(f"DROP TRIGGER {table}_only_pruned ON {table}")
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE INSERT OR DELETE OR UPDATE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
        )
    op.drop_table("audit_checkpoints")
    if not sqlite:
        for name in FUNCTIONS:
            op.execute(f"DROP FUNCTION {name}()")
