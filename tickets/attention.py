"""Mails to the omniadmins about removals that do not go through: when one becomes stuck, and daily while it lasts.

One mail names every case there is, so that a bad day of a directory is one mail each day and not one for each account.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy import ColumnElement, exists, or_, select, update

from tempadmin.accounts.models import User
from tempadmin.db import db, retried_once, transaction
from tempadmin.outbox.queue import Mail, composers, enqueue_all
from tempadmin.runtime import Runtime
from tickets import queries, recipients
from tickets.models import AccessRequest
from tickets.notices import Words, facts, moment, page_url

STUCK, VOID = "removal_stuck", "not_removed_by_hand"
AGAIN_AFTER = timedelta(days=1)
NAMED = 20


def init_app(app: Flask) -> None:
    """Register the composers."""
    composers(app).update({STUCK: _stuck, VOID: _void})


@retried_once
def tell_omniadmins(runtime: Runtime) -> int:
    """Queue mails if a removal became stuck, or was told of a day ago; return how many cases they name."""
    if not db.session.scalar(select(exists().where(_untold(runtime.now())))):
        return 0
    with transaction(as_service=True) as session:
        # Two leaders: the second finds the rows held, or told of.
        cases = select(AccessRequest.id).where(queries.stuck(runtime.now())).order_by(AccessRequest.id)
        ids = session.scalars(cases.with_for_update(skip_locked=True)).all()
        now = runtime.now()
        untold = select(AccessRequest.id).where(AccessRequest.id.in_(ids), _untold(now)).order_by(AccessRequest.id)
        first = session.scalars(untold.limit(1)).one_or_none()
        if first is None:
            return 0
        told = update(AccessRequest).where(AccessRequest.id.in_(ids)).values(attention_told_at=now)
        session.execute(told, execution_options={"synchronize_session": False})
        enqueue_all([_mail(STUCK, reader, first) for reader in session.scalars(recipients.omniadmins())], now=now)
    return len(ids)


def tell_void(request: AccessRequest, *, now: datetime) -> None:
    """Queue mails: somebody said that they removed this account by hand, and its directory says otherwise."""
    readers = db.session.scalars(recipients.omniadmins())
    enqueue_all([_mail(VOID, reader, request.id) for reader in readers], now=now)


def _untold(now: datetime) -> ColumnElement[bool]:
    long_ago = AccessRequest.attention_told_at <= now - AGAIN_AFTER
    return queries.stuck(now) & or_(AccessRequest.attention_told_at.is_(None), long_ago)


def _mail(template: str, reader: User, request_id: int) -> Mail:
    ids = {"request": request_id, "reader": reader.id}
    return Mail(template=template, recipient=reader.email, ids=ids, request_id=request_id)


def _reader(ids: dict[str, int]) -> User | None:
    return db.session.scalars(recipients.omniadmins().where(User.id == ids["reader"])).one_or_none()


def _stuck(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    reader, now = _reader(ids), runtime.now()
    cases = db.session.scalars(queries.newest_first(attention_at=now)).all()
    if reader is None or not cases:
        return None
    named = [(f"{one.account_name} at {one.instance_name}", _how_it_stands(one, reader)) for one in cases[:NAMED]]
    if len(cases) > NAMED:
        named.append(("And", f"{len(cases) - NAMED} more"))
    return {"count": len(cases), "cases": named, "link": f"{runtime.settings.base_url}/access?tab=attention"}


def _how_it_stands(request: AccessRequest, reader: User) -> str:
    since = "" if request.ending_at is None else f"over since {moment(request.ending_at, reader)}; "
    return f"{since}tried {request.removal_failures} times in vain: {request.last_error or 'no answer'}"


def _void(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    reader, request = _reader(ids), db.session.get_one(AccessRequest, ids["request"])
    if reader is None:
        return None
    return {
        **facts(request, reader=reader),
        "link": page_url(request, reader=reader, runtime=runtime),
        "account": request.account_name,
        "who": request.removed_by_hand_by,
        "said": request.removed_by_hand_reason,
    }
