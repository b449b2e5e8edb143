"""Access requests and their tickets: data and constraints.

A request outlives the accounts and instances that it speaks of: plain ids and snapshots of names (design §10).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.db import Base, UtcDateTime
from tickets.states import State

TEMPORARY_ADMIN, IMPERSONATION = "temporary_admin", "impersonation"
KINDS = frozenset({TEMPORARY_ADMIN, IMPERSONATION})
CONFIRM, LOGIN = "confirm", "login"

_STATES = ", ".join(f"'{state}'" for state in State)
_OPEN = text("state NOT IN ('ending', 'ended')")
_LIVE = text("used_at IS NULL AND voided_at IS NULL")


class AccessRequest(Base):
    """What was asked for and all that follows, until the account's deletion is confirmed."""

    __tablename__ = "access_requests"
    __table_args__ = (
        CheckConstraint(f"state IN ({_STATES})", name="state"),
        CheckConstraint("kind IN ('temporary_admin', 'impersonation')", name="kind"),
        CheckConstraint("duration_seconds > 0", name="duration"),
        CheckConstraint("(end_reason IS NULL) = (state NOT IN ('ending', 'ended'))", name="end_reason"),
        # At most one open request per person, instance and kind; one that is being removed blocks no new one.
        Index(
            "uq_access_requests_open",
            "requester_id",
            "instance_id",
            "kind",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index("ix_access_requests_state_next_attempt_at", "state", "next_attempt_at"),
        Index("ix_access_requests_instance_id_id", "instance_id", "id"),
        Index("ix_access_requests_requester_id_id", "requester_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(40), unique=True)
    kind: Mapped[str] = mapped_column(String(20), default=TEMPORARY_ADMIN)
    state: Mapped[str] = mapped_column(String(30))
    state_since: Mapped[datetime] = mapped_column(UtcDateTime)

    requester_id: Mapped[int]
    requester_name: Mapped[str] = mapped_column(String(200))
    requester_email: Mapped[str] = mapped_column(String(254))
    instance_id: Mapped[int]
    instance_name: Mapped[str] = mapped_column(String(200))
    connector: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[int | None]
    """The account that is entered; its row is gone once the request has ended."""
    account_name: Mapped[str | None] = mapped_column(String(120))
    account_email: Mapped[str | None] = mapped_column(String(254))

    reason: Mapped[str] = mapped_column(Text)
    external_ticket: Mapped[str | None] = mapped_column(String(200))
    duration_seconds: Mapped[int]

    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    provisioning_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    provisioned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Redemption; the time limit counts from here."""
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ending_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(String(40))
    ended_by_name: Mapped[str | None] = mapped_column(String(200))

    create_attempts: Mapped[int] = mapped_column(default=0)
    attempt_deadline: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Until when a create that was begun, and did not return, may still take effect."""
    removal_failures: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the next create (``provisioning``) or removal (``ending``) is due."""
    last_error: Mapped[str | None] = mapped_column(String(300))
    confirmation_mails: Mapped[int] = mapped_column(default=0)


class Ticket(Base):
    """A one-time, time-limited secret bound to one request and one purpose; the row holds its digest only (S01)."""

    __tablename__ = "tickets"
    __table_args__ = (
        CheckConstraint("purpose IN ('confirm', 'login')", name="purpose"),
        Index("uq_tickets_live", "request_id", "purpose", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("ix_tickets_request_id", "request_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("access_requests.id", ondelete="RESTRICT"))
    purpose: Mapped[str] = mapped_column(String(10))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    code_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The hand-off's code, for 60 s; a newer one replaces it (design §4.5)."""
    code_challenge: Mapped[str | None] = mapped_column(String(64))
    code_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
