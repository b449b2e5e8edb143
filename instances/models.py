"""Virtual instances: data and constraints."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, event, text
from sqlalchemy.orm import Mapped, mapped_column

from instances.search import MAKE_SQLITE_TABLE, POSTGRESQL_INDEX, TRIGGERS
from tempadmin.db import Base
from tempadmin.moments import UtcDateTime

LISTED = text("virtual_hostname IS NOT NULL AND archived_at IS NULL")
"""The default instance, and it alone, has no host name of its own."""


def _listed_by(column: str, *searched: str) -> Index:
    """Return the index of the console's list in one of its orders, with all that is searched."""
    name = f"ix_virtual_instances_listed_by_{column}"
    return Index(name, column, "id", *searched, sqlite_where=LISTED)


class VirtualInstance(Base):
    """One tenant: its own host name, its own users, its own policy."""

    __tablename__ = "virtual_instances"
    __table_args__ = (
        CheckConstraint("is_default = (virtual_hostname IS NULL)", name="host"),
        CheckConstraint("max_duration_seconds IS NULL OR max_duration_seconds > 0", name="max_duration"),
        Index(
            "uq_virtual_instances_is_default",
            "is_default",
            unique=True,
            sqlite_where=text("is_default"),
        ),
        _listed_by("name", "web_id", "virtual_hostname"),
        _listed_by("web_id", "name", "virtual_hostname"),
        _listed_by("virtual_hostname", "name", "web_id"),
        POSTGRESQL_INDEX,
        {"sqlite_autoincrement": True, "info": {"triggers": TRIGGERS}},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    web_id: Mapped[str] = mapped_column(String(63), unique=True)
    """A DNS label; never changes."""
    name: Mapped[str] = mapped_column(String(200))
    virtual_hostname: Mapped[str | None] = mapped_column(String(253), unique=True)
    """Lower-case A-label; the default instance has none: it answers at ``base_url``."""
    is_default: Mapped[bool] = mapped_column(default=False)
    connector: Mapped[str] = mapped_column(String(40), default="local")
    time_zone: Mapped[str | None] = mapped_column(String(60))
    require_omniadmin: Mapped[bool] = mapped_column(default=False)
    require_customer: Mapped[bool] = mapped_column(default=False)
    max_duration_seconds: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


event.listen(VirtualInstance.__table__, "after_create", MAKE_SQLITE_TABLE.execute_if(dialect="sqlite"))


class Connection(Base):
    """What the connector of an instance has to know of its directory elsewhere; its secrets are encrypted."""

    __tablename__ = "connections"

    instance_id: Mapped[int] = mapped_column(
        ForeignKey("virtual_instances.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    settings: Mapped[str] = mapped_column(Text)
    sealed_secrets: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Drill(Base):
    """A fault that an instance's drill directory has, until then; without a row it is healthy."""

    __tablename__ = "drills"

    instance_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    fault: Mapped[str] = mapped_column(String(20))
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class DrillAccount(Base):
    """An entry of a drill directory: as far from our other tables as a remote system, so it points at none."""

    __tablename__ = "drill_accounts"
    __table_args__ = (
        Index("ix_drill_accounts_instance_id_name", "instance_id", "name"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    marker: Mapped[str | None] = mapped_column(String(200))
    administrator: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """From when it is there: what timed out takes effect a little later."""
    gone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """From when it is gone, where a deletion timed out."""
