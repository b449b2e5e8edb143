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

TRIGGERS = {
    "sqlite": SQLITE,
    "postgresql": {name: f"{text} AS {POSTGRESQL_FUNCTION}" for name, text in POSTGRESQL.items()},
}
"""By database and name: a trigger's definition, on PostgreSQL with the body of its function."""
