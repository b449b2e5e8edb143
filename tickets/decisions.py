"""Questions that wait for the reader's answer, as pages and banners ask them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import url_for

from tempadmin.web import words
from tickets.models import PENDING, SUBJECT_SIDE, AccessRequest, Approval, Extension
from tickets.states import State


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A question with its two buttons; the note goes with either."""

    public_id: str
    question: str
    email: str
    detail: str
    until: datetime | None
    approve_url: str
    reject_url: str


def decisions_of(
    found: AccessRequest,
    approvals: Sequence[Approval],
    extension: Extension | None,
    of_extension: Sequence[Approval],
    *,
    side: str,
    blueprint: str = "deciding",
) -> list[Decision]:
    """Return what the reader may decide for a side; the use cases judge again who they are."""
    asked = []
    who, url = found.requester_name, functools.partial(url_for, public_id=found.public_id)
    if found.state == State.PENDING_APPROVAL and any(one.side == side and one.decision is None for one in approvals):
        what = "to see what you see" if side == SUBJECT_SIDE else "for admin access"
        facts = [f"“{found.reason}”", words.duration(found.duration_seconds), found.external_ticket]
        asked.append(
            Decision(
                public_id=found.public_id,
                question=f"{who} asks {what}",
                email=found.requester_email,
                detail=" · ".join(fact for fact in facts if fact),
                until=found.lapses_at,
                approve_url=url(f"{blueprint}.say_yes"),
                reject_url=url(f"{blueprint}.say_no"),
            )
        )
    waiting = extension is not None and extension.state == PENDING and found.state == State.ACTIVE
    if extension and waiting and any(one.side == side and one.decision is None for one in of_extension):
        asked.append(
            Decision(
                public_id=found.public_id,
                email=found.requester_email,
                question=f"{who} asks for {words.duration(extension.added_seconds)} more",
                detail=f"“{extension.reason}”",
                until=found.ends_at,
                approve_url=url(f"{blueprint}.say_yes_to_more_time", extension_id=extension.id),
                reject_url=url(f"{blueprint}.say_no_to_more_time", extension_id=extension.id),
            )
        )
    return asked
