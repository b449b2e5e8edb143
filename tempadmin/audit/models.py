"""Audit events, each chain's head and checkpoint. They outlive what they speak of: plain ids, no foreign keys (S54)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.audit.checkpoint_triggers import TRIGGERS as CHECKPOINT_TRIGGERS
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
        Index("ix_audit_events_looked_up", "event", sqlite_where=_LOOKED_UP),
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


class AuditCheckpoint(Base):
    """Where one chain begins since its older events were archived: what lies below may go, and no more (S51).

    It only moves forward. Its signature covers all of it, and an event further up in the chain says the same.
    """

    __tablename__ = "audit_checkpoints"
    __table_args__ = ({"info": {"triggers": CHECKPOINT_TRIGGERS}},)

    instance_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    """The last event that was archived."""
    hash: Mapped[str] = mapped_column(String(64))
    event_number: Mapped[int]
    """The event in the same chain that says so."""
    archived_before: Mapped[datetime] = mapped_column(UtcDateTime)
    """Everything that was archived is older."""
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    first_id: Mapped[int]
    """The chain's very first event, by id and hash: the first one of all names the database (``backup.mark``)."""
    first_hash: Mapped[str] = mapped_column(String(64))
    last_id: Mapped[int]
    """The id of the last event that was archived."""
    activity_id: Mapped[int]
    """The last row of activity that was archived with them; 0 when there was none."""
    signature: Mapped[str] = mapped_column(String(64))
