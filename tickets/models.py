"""Access requests, approvals, extensions, tickets and activity: data and constraints.

A request outlives the accounts and instances that it speaks of: plain ids and snapshots of names (design §10).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.db import Base
from tempadmin.moments import UtcDateTime
from tickets import policy
from tickets.states import OPEN, State
from tickets.triggers import TRIGGERS

TEMPORARY_ADMIN, IMPERSONATION = "temporary_admin", "impersonation"
KINDS = frozenset({TEMPORARY_ADMIN, IMPERSONATION})
CONFIRM, LOGIN = "confirm", "login"
OMNIADMIN_SIDE, CUSTOMER_SIDE, SUBJECT_SIDE = policy.OMNIADMIN_SIDE, policy.CUSTOMER_SIDE, policy.SUBJECT_SIDE
APPROVED, REJECTED = "approved", "rejected"
PENDING, GRANTED, REFUSED, VOID = "pending", "granted", "refused", "void"
LONGEST_NOTE = 500

_STATES = ", ".join(f"'{state}'" for state in State)
_OPEN = text("state NOT IN ('ending', 'ended')")
_IMPERSONATION = text("kind = 'impersonation'")
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
        ),
        Index("ix_access_requests_state_next_attempt_at", "state", "next_attempt_at"),
        Index("ix_access_requests_instance_id_id", "instance_id", "id"),
        Index("ix_access_requests_requester_id_id", "requester_id", "id"),
        # What is open is a handful among all that was: small indexes of their own, and narrow, or SQLite takes others.
        Index("ix_access_requests_open_instance_id", "instance_id", sqlite_where=_OPEN),
        Index("ix_access_requests_open_requester_id", "requester_id", sqlite_where=_OPEN),
        Index("ix_access_requests_requester_id_created_at", "requester_id", "created_at"),
        Index(
            "ix_access_requests_impersonated",
            "subject_id",
            sqlite_where=_IMPERSONATION,
        ),
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
    entry: Mapped[str] = mapped_column(String(20), default="panel", server_default="panel")
    """How the person gets in by the account (``instances.connectors.base.Entry``); never changes."""
    subject_id: Mapped[int | None]
    """The account that is entered; a temporary one is gone once the request has ended."""
    subject_name: Mapped[str | None] = mapped_column(String(200))
    """Impersonation: the full name of the user who is entered; their address is ``account_email``."""
    account_name: Mapped[str | None] = mapped_column(String(120))
    account_email: Mapped[str | None] = mapped_column(String(254))

    reason: Mapped[str] = mapped_column(Text)
    external_ticket: Mapped[str | None] = mapped_column(String(200))
    duration_seconds: Mapped[int]

    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lapses_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Until when it waits for a yes (``pending_approval``) or for Start (``approved``)."""
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
    attention_told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the omniadmins were last told by mail that the removal is stuck."""
    removed_by_hand_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when a person's word stands that they removed the account by hand; void, it is empty again."""
    removed_by_hand_by: Mapped[str | None] = mapped_column(String(200))
    removed_by_hand_reason: Mapped[str | None] = mapped_column(Text)
    activated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a directory elsewhere was known to have let the account in."""
    sealed_credential: Mapped[str | None] = mapped_column(Text)
    """The account's password from redemption until it was shown, once, or the access ended."""
    credential_shown_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmation_mails: Mapped[int] = mapped_column(default=0)
    activity_count: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many HTTP requests were made inside; kept, so that no page counts rows."""


IS_OPEN = AccessRequest.state.in_(OPEN) & AccessRequest.state.not_in(
    [literal_column(f"'{state}'") for state in (State.ENDING, State.ENDED)]
)
"""The condition of what is not over; the second half is the words of the indexes of open requests, so they are used."""


class Extension(Base):
    """More time for an active access, asked for once; the request itself stays ``active`` meanwhile."""

    __tablename__ = "extensions"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'granted', 'refused', 'void')", name="state"),
        CheckConstraint("added_seconds > 0", name="added"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("access_requests.id", ondelete="RESTRICT"), unique=True)
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Text)
    added_seconds: Mapped[int]
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Approval(Base):
    """One yes that a request or its extension needs, made when it is asked; and who answered what."""

    __tablename__ = "approvals"
    __table_args__ = (
        CheckConstraint("side IN ('omniadmin', 'customer', 'subject')", name="side"),
        CheckConstraint("decision IN ('approved', 'rejected')", name="decision"),
        CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name="decided"),
        Index(
            "uq_approvals_request",
            "request_id",
            "side",
            unique=True,
            sqlite_where=text("extension_id IS NULL"),
        ),
        Index(
            "uq_approvals_extension",
            "extension_id",
            "side",
            unique=True,
            sqlite_where=text("extension_id IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("access_requests.id", ondelete="RESTRICT"))
    extension_id: Mapped[int | None] = mapped_column(ForeignKey("extensions.id", ondelete="RESTRICT"))
    side: Mapped[str] = mapped_column(String(10))
    """Whose yes: another omniadmin's, an administrator's of the instance, or the subject's own."""
    decision: Mapped[str | None] = mapped_column(String(10))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by_id: Mapped[int | None]
    decided_by_name: Mapped[str | None] = mapped_column(String(200))
    decided_by_email: Mapped[str | None] = mapped_column(String(254))
    note: Mapped[str | None] = mapped_column(String(LONGEST_NOTE))


class Activity(Base):
    """One HTTP request made in a support session, with the real person (S53); never changed, never removed (S51)."""

    __tablename__ = "activity"
    __table_args__ = (
        Index("ix_activity_request_id_id", "request_id", "id"),
        {"sqlite_autoincrement": True, "info": {"triggers": TRIGGERS}},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int]
    instance_id: Mapped[int]
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor_id: Mapped[int]
    actor_name: Mapped[str] = mapped_column(String(200))
    subject_id: Mapped[int]
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(String(500))
    """Without the query string, which may hold what people typed."""
    status: Mapped[int]
    did: Mapped[str] = mapped_column(String(300))
    """What it was, in plain words."""


class Ticket(Base):
    """A one-time, time-limited secret bound to one request and one purpose; the row holds its digest only (S01)."""

    __tablename__ = "tickets"
    __table_args__ = (
        CheckConstraint("purpose IN ('confirm', 'login')", name="purpose"),
        Index("uq_tickets_live", "request_id", "purpose", unique=True, sqlite_where=_LIVE),
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
