"""Alembic's entry: one connection, foreign keys off while tables change and checked afterwards (design §10)."""

from __future__ import annotations

from alembic import context

from tempadmin.db import db

connection = db.engine.connect().execution_options(write=True)
sqlite = db.engine.dialect.name == "sqlite"
driver = connection.connection.driver_connection
if sqlite:
    driver.execute("PRAGMA foreign_keys=OFF")
try:
    context.configure(connection=connection, target_metadata=db.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
        if sqlite:
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise RuntimeError(f"the migration would break foreign keys: {broken[:5]}")
finally:
    if sqlite:
        connection.rollback()
        driver.execute("PRAGMA foreign_keys=ON")
    connection.close()
