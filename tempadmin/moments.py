"""Moments as every database keeps them: aware, in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import DateTime, Dialect
from sqlalchemy.types import TypeDecorator

from tempadmin.errors import Unreadable


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC on every database; SQLite would hand naive ones back (measured)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive moment: it has no meaning here."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its offset")
        return value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Refuse what is no moment: SQLite keeps any text (S36)."""
        read = cast("Callable[[Any], datetime | None]", super().result_processor(dialect, coltype))

        def checked(value: Any) -> datetime | None:
            try:
                return read(value)
            except (TypeError, ValueError) as error:
                raise Unreadable("A moment in the database cannot be read. Run: tempadmin doctor") from error

        return checked

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand the moment back aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
