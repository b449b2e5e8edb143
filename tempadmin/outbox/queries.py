"""Reads about mails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from tempadmin.db import db
from tempadmin.outbox.models import OutboxMessage


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why a mail has not gone out, in words; ``again_at`` is ``None`` when it is not tried again."""

    error: str
    again_at: datetime | None


def trouble(template: str, *, request_id: int) -> Trouble | None:
    """Return what keeps the newest mail of a kind about an access request from going out, if anything does."""
    newest = select(OutboxMessage).where(OutboxMessage.request_id == request_id, OutboxMessage.template == template)
    row = db.session.scalars(newest.order_by(OutboxMessage.id.desc()).limit(1)).one_or_none()
    if row is None or row.sent_at is not None or row.last_error is None:
        return None
    return Trouble(error=row.last_error, again_at=row.next_attempt_at)
