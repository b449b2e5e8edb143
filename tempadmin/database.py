"""Flask-SQLAlchemy, but for the end of a request: a connection that died since the last statement spoils no answer."""

from __future__ import annotations

import structlog
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger()


class Database(SQLAlchemy):
    """The extension; what ends here was committed before, or never will be."""

    def _teardown_session(self, exc: BaseException | None) -> None:
        """Give the session's connection back. The server has rolled back what a dead one cannot (measured: 500)."""
        try:
            super()._teardown_session(exc)
        except SQLAlchemyError as error:
            self.session.registry.clear()  # or the next request at this place would find it
            log.warning("database.connection_lost", error=type(error).__name__)
