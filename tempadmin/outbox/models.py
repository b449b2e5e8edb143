"""Mails that wait: a template's name and ids; a secret only sealed, and only until it was sent (P12)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.db import Base
from tempadmin.moments import UtcDateTime

_GIVEN_UP = text("sent_at IS NULL AND next_attempt_at IS NULL")


class OutboxMessage(Base):
    """One mail to one person."""

    __tablename__ = "outbox_messages"
    __table_args__ = (
        Index("ix_outbox_messages_next_attempt_at", "next_attempt_at"),
        Index("ix_outbox_messages_request_id", "request_id"),
        # Its columns are those of its condition: SQLite would take the index above instead, and read all that was sent.
        Index(
            "ix_outbox_messages_given_up",
            "sent_at",
            "next_attempt_at",
            "created_at",
            sqlite_where=_GIVEN_UP,
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    template: Mapped[str] = mapped_column(String(60))
    recipient: Mapped[str] = mapped_column(String(254))
    ids: Mapped[str] = mapped_column(Text)
    """JSON object of plain ids that the template's composer reads the rest by."""
    sealed_secret: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    useful_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When to try next; ``None`` once it was sent or given up."""
    attempts: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(300))
