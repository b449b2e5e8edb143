"""The triggers that keep checkpoints of the record from going back, or anywhere else than to an event (S51).

See ``tempadmin.audit.triggers``: migrations hold their own text, and the comparison of schemas holds both together.
"""

from __future__ import annotations

SQLITE = {
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
    # INSERT OR REPLACE deletes what is in its way, and no trigger hears of that (measured).
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

# Tables are named by the schema of the one that fires: a temporary table of the same name must not stand in for one.
POSTGRESQL_FUNCTION = """
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
"""

POSTGRESQL = {
    "audit_checkpoints_forward": """
        CREATE TRIGGER audit_checkpoints_forward BEFORE INSERT OR DELETE OR UPDATE ON audit_checkpoints
        FOR EACH ROW EXECUTE FUNCTION audit_checkpoints_forward()
    """,
    "audit_checkpoints_no_truncate": """
        CREATE TRIGGER audit_checkpoints_no_truncate BEFORE TRUNCATE ON audit_checkpoints
        FOR EACH STATEMENT EXECUTE FUNCTION audit_checkpoints_forward()
    """,
}

TRIGGERS = {
    "sqlite": SQLITE,
    "postgresql": {name: f"{text} AS {POSTGRESQL_FUNCTION}" for name, text in POSTGRESQL.items()},
}
"""By database and name: a trigger's definition, on PostgreSQL with the body of its function."""
