"""Clients, signing keys and logins of the OpenID provider: data and constraints."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.db import Base
from tempadmin.moments import UtcDateTime

LONGEST_URI = 500
KEY_PURPOSE = "oidc.key"
"""For what the private halves are sealed."""


class OidcClient(Base):
    """An instance's product as a client of this provider: one for each instance, which is its own issuer."""

    __tablename__ = "oidc_clients"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("virtual_instances.id", ondelete="RESTRICT"), unique=True)
    client_id: Mapped[str] = mapped_column(String(64), unique=True)
    secret_digest: Mapped[str] = mapped_column(String(64))
    login_uri: Mapped[str] = mapped_column(String(LONGEST_URI))
    """Where the product begins its login (``initiate_login_uri``)."""
    redirect_uris: Mapped[str] = mapped_column(Text)
    """A JSON list, as are the others; a redirect fits one of them exactly or is none."""
    post_logout_redirect_uris: Mapped[str] = mapped_column(Text)
    backchannel_logout_uri: Mapped[str | None] = mapped_column(String(LONGEST_URI))
    ca_file: Mapped[str | None] = mapped_column(Text)
    """Certificates (PEM) that the product's own is judged by when it is called; none: the system's."""
    groups: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OidcKey(Base):
    """A signing key, its private half sealed: published a day before it signs, and until its last token is over."""

    __tablename__ = "oidc_keys"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    kid: Mapped[str] = mapped_column(String(64), unique=True)
    sealed_private: Mapped[str] = mapped_column(Text)
    public: Mapped[str] = mapped_column(Text)
    """The public half as it is published (JSON Web Key)."""
    published_at: Mapped[datetime] = mapped_column(UtcDateTime)
    signs_from: Mapped[datetime] = mapped_column(UtcDateTime)
    """The key that signs is the one that began last."""


class OidcLogin(Base):
    """One login at a product: the code that was handed out, and what was given for it; digests only (S01)."""

    __tablename__ = "oidc_logins"
    __table_args__ = (
        Index("ix_oidc_logins_request_id", "request_id"),
        Index("ix_oidc_logins_kid_token_expires_at", "kid", "token_expires_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("access_requests.id", ondelete="RESTRICT"))
    session_id: Mapped[int]
    """The support session that it was made in; it goes with its account."""
    instance_id: Mapped[int]
    client_id: Mapped[str] = mapped_column(String(64))
    redirect_uri: Mapped[str] = mapped_column(String(LONGEST_URI))
    scope: Mapped[str] = mapped_column(String(200))
    nonce: Mapped[str | None] = mapped_column(String(500))
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    code_digest: Mapped[str] = mapped_column(String(64), unique=True)
    """Kept when it is used: a second use of it voids what the first one got (RFC 6749, 4.1.2)."""
    code_challenge: Mapped[str] = mapped_column(String(64))
    code_expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the code was presented, rightly or not: once."""
    token_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    token_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    kid: Mapped[str | None] = mapped_column(String(64))
    """The key that signed its ID token."""
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the product acknowledged that the access is over (back-channel logout)."""
