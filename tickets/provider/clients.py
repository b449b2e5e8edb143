"""The client of an instance: its product, as this provider knows it."""

from __future__ import annotations

from sqlalchemy import select

from tempadmin.db import db
from tickets.provider.models import OidcClient


def of_instance(instance_id: int) -> OidcClient | None:
    """Return the instance's client, or ``None`` where no product is registered."""
    return db.session.scalars(select(OidcClient).where(OidcClient.instance_id == instance_id)).one_or_none()
