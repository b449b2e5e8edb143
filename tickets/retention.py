"""What of an access's record may not be archived away yet, and the activity that goes along with the rest."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from flask import Flask
from sqlalchemy import ColumnElement, Table, and_, exists, func, or_, select

from tempadmin.audit.models import AuditCheckpoint, AuditEvent
from tempadmin.audit.retention import Activity as Companion
from tempadmin.audit.retention import keepers, set_activity
from tempadmin.backup.mark import RESTORED
from tempadmin.db import db
from tickets.anew import LOOKED
from tickets.models import AccessRequest, Activity
from tickets.states import State

FIRST = "access.requested"


def init_app(app: Flask) -> None:
    """Register both."""
    keepers(app).extend([_of_accesses_that_have_not_ended, _restored_and_not_looked_around])
    set_activity(app, Companion(table=cast(Table, Activity.__table__), must_stay=_activity_that_stays))


def record_archived(request: AccessRequest) -> datetime | None:
    """Return when older events were archived last, if any of this request's were among them."""
    at = _may_be_archived(request)
    if at is None:
        return None
    begun = exists().where(AuditEvent.request_id == request.id, AuditEvent.event == FIRST)
    return None if db.session.scalar(select(begun)) else at


def archived(request: AccessRequest) -> datetime | None:
    """Return when older entries were archived last, if any of this request's were among them, events or activity."""
    at = _may_be_archived(request)
    if at is None:
        return None
    left = db.session.scalar(select(func.count()).where(Activity.request_id == request.id)) or 0
    return at if left < request.activity_count else record_archived(request)


def _may_be_archived(request: AccessRequest) -> datetime | None:
    if request.state != State.ENDED:
        return None
    query = select(AuditCheckpoint.made_at).where(
        AuditCheckpoint.instance_id == request.instance_id, AuditCheckpoint.archived_before > request.created_at
    )
    return db.session.scalar(query)


def _of_accesses_that_have_not_ended() -> ColumnElement[bool]:
    return AuditEvent.request_id.in_(select(AccessRequest.id).where(AccessRequest.state != State.ENDED))


def _restored_and_not_looked_around() -> ColumnElement[bool]:
    """The job after a restore knows by this event that it has still to look into the directories."""
    looked = select(func.coalesce(func.max(AuditEvent.id), 0)).where(AuditEvent.event == LOOKED).scalar_subquery()
    return and_(AuditEvent.event == RESTORED, AuditEvent.id > looked)


def _activity_that_stays(before: datetime) -> ColumnElement[bool]:
    going_on = select(AccessRequest.id).where(AccessRequest.state != State.ENDED)
    return or_(Activity.occurred_at >= before, Activity.request_id.in_(going_on))
