"""The triggers that keep activity as it was written (S51), as this version expects to find them.

See ``tempadmin.audit.triggers``: migrations hold their own text, and the comparison of schemas holds both together.
"""

from __future__ import annotations

SQLITE = {
    "activity_no_update": """
        CREATE TRIGGER activity_no_update BEFORE UPDATE ON activity
        BEGIN
            SELECT RAISE(ABORT, 'activity rows are append-only: UPDATE is refused');
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
    # INSERT OR REPLACE deletes what is in its way, and no trigger hears of that (measured).
    "activity_no_replace": """
        CREATE TRIGGER activity_no_replace BEFORE INSERT ON activity
        WHEN EXISTS (SELECT 1 FROM activity WHERE id = NEW.id)
        BEGIN
            SELECT RAISE(ABORT, 'activity rows are append-only: INSERT of an existing one is refused');
        END
    """,
}

POSTGRESQL_FUNCTION = """
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
"""

POSTGRESQL_DELETES = """
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
"""

POSTGRESQL = {
    "activity_append_only": """
        CREATE TRIGGER activity_append_only BEFORE INSERT OR UPDATE ON activity
        FOR EACH ROW EXECUTE FUNCTION activity_append_only()
    """,
    "activity_no_truncate": """
        CREATE TRIGGER activity_no_truncate BEFORE TRUNCATE ON activity
        FOR EACH STATEMENT EXECUTE FUNCTION activity_append_only()
    """,
}

POSTGRESQL_DELETE = """
    CREATE TRIGGER activity_only_pruned AFTER DELETE ON activity REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION activity_only_pruned()
"""

TRIGGERS = {
    "sqlite": SQLITE,
    "postgresql": {
        **{name: f"{text} AS {POSTGRESQL_FUNCTION}" for name, text in POSTGRESQL.items()},
        "activity_only_pruned": f"{POSTGRESQL_DELETE} AS {POSTGRESQL_DELETES}",
    },
}
"""By database and name: a trigger's definition, on PostgreSQL with the body of its function."""
