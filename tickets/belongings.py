"""What an account made in its directory, asked before it is removed there, and told in the record and on the pages.

Only some directories can tell, and only while the account is there. Whatever becomes of the question, the removal
goes on: a person who has to look for themselves is better off than an account that stays.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence

import structlog
from flask import Flask
from sqlalchemy import exists, select

from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from tempadmin.audit.log import SERVICE, record
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db, retried_once, transaction
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets import entries
from tickets.accounts import account
from tickets.before_removal import Step, before_removal
from tickets.machine import locked
from tickets.models import TEMPORARY_ADMIN, AccessRequest
from tickets.states import State

FOUND = "access.objects_found"
LONGEST_TEXT, LONGEST_NAME = 1000, 120

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Have it asked as part of each removal, until a directory has told."""
    before_removal(app).append(Step(ask, concerns=lambda connector, _entry: entries.is_elsewhere(connector)))


def ask(request_ids: Sequence[int], runtime: Runtime) -> Mapping[int, str]:
    """Ask what the accounts of requests made, and record it; nothing of this keeps a request from ending."""
    for request_id, connector, asked in _to_ask(request_ids):
        try:
            reach("before made_by")
            made = connector_for(connector).made_by(asked)
            reach("after made_by")
        except ConnectorError as error:
            log.warning("belongings.not_told", request_id=request_id, error=str(error))
        except Exception:  # noqa: BLE001 - logged; an account that stays would be worse
            db.session.rollback()
            log.error("belongings.not_told", request_id=request_id, trace=traceback.format_exc())  # noqa: TRY400
        else:
            if made:
                _note(request_id, made, runtime)
    return {}


def told(request: AccessRequest) -> str | None:
    """Return what a request's account had made, as the record has it."""
    if request.activated_at is None:
        return None
    query = select(AuditEvent.details).where(AuditEvent.request_id == request.id, AuditEvent.event == FOUND)
    details = db.session.scalars(query.limit(1)).one_or_none()
    return None if details is None else str(json.loads(details)["objects"])


def _to_ask(request_ids: Sequence[int]) -> list[tuple[int, str, Account]]:
    """Return the accounts elsewhere that somebody may have used, of which nothing was told yet.

    No moment is read: one row that cannot be read must not keep the others of its batch (S36).
    """
    answered = exists().where(AuditEvent.request_id == AccessRequest.id, AuditEvent.event == FOUND)
    columns = (
        AccessRequest.connector,
        AccessRequest.id,
        AccessRequest.public_id,
        AccessRequest.instance_id,
        AccessRequest.subject_id,
        AccessRequest.account_name,
        AccessRequest.account_email,
    )
    used = AccessRequest.kind == TEMPORARY_ADMIN, AccessRequest.started_at.is_not(None), ~answered
    rows = db.session.execute(select(*columns).where(AccessRequest.id.in_(request_ids), *used)).all()
    db.session.rollback()
    elsewhere = [(row, account(*row[1:])) for row in rows if entries.is_elsewhere(row.connector)]
    return [(row.id, row.connector, found) for row, found in elsewhere if found is not None]


@retried_once
def _note(request_id: int, made: Sequence[str], runtime: Runtime) -> None:
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if request.state != State.ENDING:
            return
        record(
            FOUND,
            instance_id=request.instance_id,
            actor=SERVICE,
            at=now,
            request_id=request.id,
            count=len(made),
            objects=_in_words(made),
        )


def _in_words(made: Sequence[str]) -> str:
    """Return a list that is short enough for a page and a record, however much there is."""
    words, left = "", len(made)
    for one in made:
        name = " ".join(one.split())
        name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        longer = f"{words}; {name}" if words else name
        if len(longer) > LONGEST_TEXT:
            return f"{words}; and {left} more"
        words, left = longer, left - 1
    return words
