"""Flask-SQLAlchemy, but for how reads begin, and for the end of a request: a dead connection spoils no answer."""

from __future__ import annotations

from typing import Any

import structlog
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from tempadmin.engine import READING

log = structlog.get_logger()


class ReadingSession(Session):
    """A session that only reads until ``transaction()`` takes a connection to write."""

    def __init__(self, db: SQLAlchemy, **options: Any) -> None:
        super().__init__(db, **options)
        engine = db.engine
        reading = READING[engine.dialect.name]
        self._reading = engine.execution_options(**reading) if reading else engine

    def get_bind(self, *_what: Any, bind: Engine | Connection | None = None, **_how: Any) -> Engine | Connection:
        """Return the one database that there is."""
        return bind or self._reading


class Database(SQLAlchemy):
    """The extension; what ends here was committed before, or never will be."""

    def __init__(self, **options: Any) -> None:
        super().__init__(session_options={"class_": ReadingSession}, **options)

    def _teardown_session(self, exc: BaseException | None) -> None:
        """Give the session's connection back. The server has rolled back what a dead one cannot (measured: 500)."""
        try:
            super()._teardown_session(exc)
        except SQLAlchemyError as error:
            self.session.registry.clear()  # or the next request at this place would find it
            log.warning("database.connection_lost", error=type(error).__name__)
