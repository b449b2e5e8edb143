"""The record is append-only: triggers refuse to change, remove or replace an audit event (S51)."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The text of this revision, for good; what today's version expects is in tempadmin/audit/triggers.py.
SQLITE = {
    "audit_events_no_update": """
        CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
        BEGIN
            SELECT RAISE(ABORT, 'audit events are append-only: UPDATE is refused');
        END
    """,
    "audit_events_no_delete": """
        CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
        BEGIN
            SELECT RAISE(ABORT, 'audit events are append-only: DELETE is refused');
        END
    """,
    "audit_events_no_replace": """
        CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
        WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
            OR EXISTS (SELECT 1 FROM audit_events WHERE instance_id = NEW.instance_id AND number = NEW.number)
        BEGIN
            SELECT RAISE(ABORT, 'audit events are append-only: INSERT of an existing one is refused');
        END
    """,
}

FUNCTION = """
CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $function$
DECLARE
    taken boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        EXECUTE format(
            'SELECT EXISTS (SELECT 1 FROM %s WHERE id = $1 OR (instance_id = $2 AND number = $3))', TG_RELID::regclass
        ) INTO taken USING NEW.id, NEW.instance_id, NEW.number;
        IF NOT taken THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'audit events are append-only: INSERT of an existing one is refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RAISE EXCEPTION 'audit events are append-only: % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$function$
"""

POSTGRESQL = {
    "audit_events_append_only": """
        CREATE TRIGGER audit_events_append_only BEFORE INSERT OR DELETE OR UPDATE ON audit_events
        FOR EACH ROW EXECUTE FUNCTION audit_events_append_only()
    """,
    "audit_events_no_truncate": """
        CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only()
    """,
}


def upgrade() -> None:
    """Apply."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE.values() if sqlite else (FUNCTION, *POSTGRESQL.values()):
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    if op.get_bind().dialect.name == "sqlite":
        for name in SQLITE:
            op.execute(f"DROP TRIGGER {name}")
        return
    for name in POSTGRESQL:
        op.execute(f"DROP TRIGGER {name} ON audit_events")
    op.execute("DROP FUNCTION audit_events_append_only()")
