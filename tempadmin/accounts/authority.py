"""Cutting somebody off: open accesses and sessions end in the transaction that takes authority or credentials (S23)."""

from __future__ import annotations

from datetime import datetime

from blinker import Signal

from tempadmin.accounts import sessions
from tempadmin.audit.log import Actor
from tempadmin.runtime import application

DISABLED, CREDENTIALS_CHANGED = "requester_disabled", "credentials_changed"

authority_lost = Signal()
"""Sent with ``user_id``, ``reason``, ``actor`` and ``at`` in the transaction, before the sessions are locked (S23)."""


def cut_off(
    *, user_id: int, reason: str, session_reason: str, actor: Actor, at: datetime, spare: int | None = None
) -> None:
    """End a person's open accesses and live sessions inside the open transaction.

    Parameters
    ----------
    reason
        ``DISABLED`` or ``CREDENTIALS_CHANGED``: what the ended accesses will say.
    session_reason
        What the ended sessions will say.
    spare
        The session that makes the change, if it may go on.
    """
    authority_lost.send(application(), user_id=user_id, reason=reason, actor=actor, at=at)
    sessions.revoke(set(sessions.live_ids(user_id=user_id)) - {spare}, reason=session_reason, now=at)
