"""Accounts, their second factors, invitations and login sessions: data and constraints, no logic."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.db import Base
from tempadmin.moments import UtcDateTime

MEMBER, ADMINISTRATOR, OMNIADMIN = "member", "administrator", "omniadmin"
REGULAR, TEMPORARY = "regular", "temporary"

_MADE, _CHANGED = text("made_in_request_id IS NOT NULL"), text("changed_in_request_id IS NOT NULL")


class User(Base):
    """An account on exactly one virtual instance."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('member', 'administrator', 'omniadmin')", name="role"),
        CheckConstraint("kind IN ('regular', 'temporary')", name="kind"),
        # Being temporary is a column, never a name (P7); such an account never has credentials of its own (P6).
        CheckConstraint("kind = 'regular' OR (password_hash IS NULL AND access_request_id IS NOT NULL)", name="shape"),
        Index("uq_users_instance_id_email", "instance_id", "email", unique=True),
        Index("uq_users_access_request_id", "access_request_id", unique=True),
        Index("ix_users_instance_id_kind_full_name_id", "instance_id", "kind", "full_name", "id"),
        Index("ix_users_made_in_request_id", "made_in_request_id", sqlite_where=_MADE),
        Index("ix_users_changed_in_request_id", "changed_in_request_id", sqlite_where=_CHANGED),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("virtual_instances.id", ondelete="RESTRICT"))
    kind: Mapped[str] = mapped_column(String(20), default=REGULAR)
    role: Mapped[str] = mapped_column(String(20), default=MEMBER)
    screen_name: Mapped[str | None] = mapped_column(String(120))
    """The account's name in the instance's directory; temporary administrators only (``liferay_online_<a>_<b>``)."""
    email: Mapped[str] = mapped_column(String(254))
    """Normalised: lower case, ASCII domain."""
    full_name: Mapped[str] = mapped_column(String(200))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(default=True)
    time_zone: Mapped[str | None] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_sign_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    access_request_id: Mapped[int | None]
    """The request that a temporary administrator was made for."""
    made_in_request_id: Mapped[int | None]
    """The request in whose support session this regular account was invited, or let in again (S25)."""
    changed_in_request_id: Mapped[int | None]
    """The request in whose support session something else of this account was changed last."""
    vouched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When an administrator vouched for it after that."""

    @property
    def temporary(self) -> bool:
        """Whether this account was made for one access request; a kind that cannot be read has no powers either."""
        return self.kind != REGULAR

    @property
    def unvouched(self) -> bool:
        """Whether a support session made this account and nobody vouched for it yet: it decides nothing (S25, S33)."""
        return self.made_in_request_id is not None and self.vouched_at is None


class SecondFactor(Base):
    """A person's TOTP device."""

    __tablename__ = "second_factors"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), unique=True)
    sealed_seed: Mapped[str] = mapped_column(String(255))
    """The seed, encrypted with the account's id as associated data (S15)."""
    last_step: Mapped[int]
    """The last accepted time step (seconds since 1970 // 30); only later steps are accepted (S10)."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RecoveryCode(Base):
    """One of ten single-use codes that stand in for a lost device."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index("ix_recovery_codes_user_id", "user_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Throttle(Base):
    """Wrong answers in a row for one key (an account's factors, an account and network's password)."""

    __tablename__ = "throttles"

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Invitation(Base):
    """A one-time link that lets a new person set a password, or a known one enrol a new second factor."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("purpose IN ('join', 'enrol')", name="purpose"),
        Index("ix_invitations_user_id", "user_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    purpose: Mapped[str] = mapped_column(String(10))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginSession(Base):
    """The server-side row behind a cookie: ``user`` is who acts, ``actor`` is who really sits there."""

    __tablename__ = "login_sessions"
    __table_args__ = (
        # One session per access request, ever (S22): a second redemption fails here even if all else let it pass.
        Index(
            "uq_login_sessions_access_request_id",
            "access_request_id",
            unique=True,
            sqlite_where=text("access_request_id IS NOT NULL"),
        ),
        Index("ix_login_sessions_user_id", "user_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    actor_id: Mapped[int]
    actor_name: Mapped[str] = mapped_column(String(200))
    instance_id: Mapped[int]
    access_request_id: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    idle_seconds: Mapped[int]
    mfa_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(String(40))
    address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(300))

    @property
    def is_support(self) -> bool:
        """Whether an access request gave this session."""
        return self.access_request_id is not None
