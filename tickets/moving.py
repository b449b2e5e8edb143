"""What open accesses and removals say to a change of an instance's connection.

Where accounts are looked for cannot change while one of ours may be there. What may change, a rotated token above all,
is what failed removals waited for, so they are due at once.
"""

from __future__ import annotations

from datetime import datetime

from flask import Flask
from sqlalchemy import func, select

from instances.connecting import connection_changing
from tempadmin.db import db
from tempadmin.errors import Conflict
from tickets.leftover_model import Leftover
from tickets.models import AccessRequest
from tickets.states import State


def init_app(app: Flask) -> None:
    """Listen to changes."""
    connection_changing.connect(_judge, app)


def _judge(_app: Flask, *, instance_id: int, moves: bool, at: datetime) -> None:
    """Refuse a move that would leave an account behind, else have the removals of this instance tried again (P1, P11).

    Raises
    ------
    Conflict
        When an access has not ended, or something is left over there.
    """
    if moves:
        _refuse_to_leave_behind(instance_id)
    failed = (
        select(AccessRequest)
        .where(AccessRequest.instance_id == instance_id, AccessRequest.state == State.ENDING)
        .where(AccessRequest.removal_failures > 0, AccessRequest.next_attempt_at > at)
        .order_by(AccessRequest.id)
    )
    for request in db.session.scalars(failed.with_for_update().execution_options(populate_existing=True)):
        request.next_attempt_at = at
    left = select(Leftover).where(Leftover.instance_id == instance_id, Leftover.failures > 0).order_by(Leftover.id)
    for leftover in db.session.scalars(left.with_for_update().execution_options(populate_existing=True)):
        leftover.next_attempt_at = min(leftover.next_attempt_at, at)


def what_may_be_there(instance_id: int) -> str:
    """Count what an instance's directory may still hold of ours, in words; empty where there is nothing."""
    here = AccessRequest.instance_id == instance_id, AccessRequest.state != State.ENDED
    requests = db.session.scalar(select(func.count()).select_from(AccessRequest).where(*here)) or 0
    left = db.session.scalar(select(func.count()).select_from(Leftover).where(Leftover.instance_id == instance_id)) or 0
    ways = [_counted(requests, "access that has not ended", "accesses that have not ended")] if requests else []
    ways += [_counted(left, "leftover account", "leftover accounts")] if left else []
    return " and ".join(ways)


def _refuse_to_leave_behind(instance_id: int) -> None:
    if still := what_may_be_there(instance_id):
        raise Conflict(
            f"Accounts of ours may still be where this instance is connected to now: {still}. "
            "Until they are gone, its connector and the place of its directory stay; secrets and all else may change. "
            "If it is the same directory at another address: tempadmin instance connect … --same-directory"
        )


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
