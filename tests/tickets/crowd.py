"""Many accesses at once: each with its account and its live session, put straight into the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import insert

from tempadmin.accounts.models import ADMINISTRATOR, TEMPORARY, LoginSession, User
from tempadmin.db import db, transaction
from tests.world import REASON
from tickets.models import AccessRequest
from tickets.states import State

HOUR = timedelta(hours=1)


def crowd(
    *, requesters: Sequence[int], instances: Sequence[int], ends_at: datetime, connector: str = "local"
) -> list[int]:
    """Have each of these people inside each of these instances until a moment; return the requests' ids."""
    since = ends_at - HOUR
    pairs = [(person, instance) for instance in instances for person in requesters]
    requests = [
        {
            "public_id": f"crowd-{person}-{instance}",
            "state": State.ACTIVE,
            "state_since": since,
            "requester_id": person,
            "requester_name": f"Op {person}",
            "requester_email": f"op{person}@operator.example",
            "instance_id": instance,
            "instance_name": f"Customer {instance}",
            "connector": connector,
            "reason": REASON,
            "duration_seconds": 3600,
            "created_at": since,
            "provisioned_at": since,
            "confirmed_at": since,
            "started_at": since,
            "ends_at": ends_at,
            "create_attempts": 1,
        }
        for person, instance in pairs
    ]
    with transaction() as session:
        ids = list(
            session.scalars(insert(AccessRequest).returning(AccessRequest.id, sort_by_parameter_order=True), requests)
        )
        accounts = [
            {
                "instance_id": instance,
                "kind": TEMPORARY,
                "role": ADMINISTRATOR,
                "email": f"crowd_{request}@liferayonline.com",
                "screen_name": f"liferay_online_{person}_{request}",
                "full_name": f"Op {person}",
                "created_at": since,
                "access_request_id": request,
            }
            for request, (person, instance) in zip(ids, pairs, strict=True)
        ]
        users = list(session.scalars(insert(User).returning(User.id, sort_by_parameter_order=True), accounts))
        subjects = [
            {
                "id": request,
                "subject_id": user,
                "account_name": account["screen_name"],
                "account_email": account["email"],
            }
            for request, user, account in zip(ids, users, accounts, strict=True)
        ]
        session.bulk_update_mappings(AccessRequest, subjects)
        inside = [
            {
                "digest": f"crowd-{request}",
                "user_id": user,
                "actor_id": person,
                "actor_name": f"Op {person}",
                "instance_id": instance,
                "access_request_id": request,
                "created_at": since,
                "last_seen_at": ends_at - timedelta(minutes=1),
                "expires_at": ends_at,
                "idle_seconds": 3600,
            }
            for request, user, (person, instance) in zip(ids, users, pairs, strict=True)
        ]
        session.execute(insert(LoginSession), inside)
    db.session.rollback()
    return ids
