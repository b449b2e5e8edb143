"""Audit events and the head of each chain. They outlive what they speak of: plain ids, no foreign keys (S54)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.audit.triggers import TRIGGERS
from tempadmin.db import Base
from tempadmin.moments import UtcDateTime

LOOKED_UP = ("database.restored", "impersonation.wrong_address")
"""Rare events that something asks for by their kind; all others are found by their chain or their request."""
_LOOKED_UP = text("event IN ('database.restored', 'impersonation.wrong_address')")


class AuditEvent(Base):
    """One decision or change, in the hash chain of its virtual instance."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("uq_audit_events_instance_id_number", "instance_id", "number", unique=True),
        Index("ix_audit_events_request_id", "request_id"),
        # A handful among millions: the hourly look after a restore, and a cap, ask for them.
        Index("ix_audit_events_looked_up", "event", sqlite_where=_LOOKED_UP, postgresql_where=_LOOKED_UP),
        {"sqlite_autoincrement": True, "info": {"triggers": TRIGGERS}},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int]
    number: Mapped[int]
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    event: Mapped[str] = mapped_column(String(60))
    actor_id: Mapped[int | None]
    actor_name: Mapped[str] = mapped_column(String(400))
    request_id: Mapped[int | None]
    details: Mapped[str] = mapped_column(Text)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


IS_LOOKED_UP = AuditEvent.event.in_([literal_column(f"'{event}'") for event in LOOKED_UP])


class AuditHead(Base):
    """The last number and hash of one instance's chain; its row is the chain's lock."""

    __tablename__ = "audit_heads"

    instance_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))
