"""The triggers that keep audit events as they were written (S51), as this version expects to find them.

The application lets nobody edit its record, and the chain betrays whoever does; these triggers refuse it in the
database too, from any program that has its password and not the right to change its schema.

Migrations hold their own text and not this one: what revision 0002 made must stay what it made, also after this text
has changed. A new text here needs a new revision; until it exists, the comparison of schemas (``tempadmin.schema``)
fails, in a test and in ``doctor``.
"""

from __future__ import annotations

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
    # INSERT OR REPLACE deletes what is in its way, and no trigger hears of that (measured).
    "audit_events_no_replace": """
        CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
        WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
            OR EXISTS (SELECT 1 FROM audit_events WHERE instance_id = NEW.instance_id AND number = NEW.number)
        BEGIN
            SELECT RAISE(ABORT, 'audit events are append-only: INSERT of an existing one is refused');
        END
    """,
}

# The table is named by its own identity: a temporary table of the same name must not stand in for it.
POSTGRESQL_FUNCTION = """
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

TRIGGERS = {
    "sqlite": SQLITE,
    "postgresql": {name: f"{text} AS {POSTGRESQL_FUNCTION}" for name, text in POSTGRESQL.items()},
}
"""By database and name: a trigger's definition, on PostgreSQL with the body of its function."""
