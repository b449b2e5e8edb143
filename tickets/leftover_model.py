"""The row of an account that must go and belongs to no request that is being removed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.db import Base
from tempadmin.moments import UtcDateTime


class Leftover(Base):
    """An account that must go and belongs to no request that is being removed; gone, its row goes too (P1, P11)."""

    __tablename__ = "leftovers"
    __table_args__ = (
        Index("uq_leftovers_instance_id_account_name", "instance_id", "account_name", unique=True),
        Index("ix_leftovers_next_attempt_at", "next_attempt_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int]
    connector: Mapped[str] = mapped_column(String(40))
    account_name: Mapped[str] = mapped_column(String(200))
    account_email: Mapped[str] = mapped_column(String(254))
    marker: Mapped[str] = mapped_column(String(200))
    user_id: Mapped[int]
    request_id: Mapped[int]
    """The request that it was made for; 0 where a marker alone proves it ours."""
    why: Mapped[str] = mapped_column(String(300))
    found_at: Mapped[datetime] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(300))
