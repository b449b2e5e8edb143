"""What is promised of accounts that are let in elsewhere, as far as a state shows it broken (design §5)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, or_, select

from instances.connectors.base import Entry
from tempadmin.db import db
from tempadmin.doctor.findings import Finding, error
from tempadmin.doctor.invariants import BY_HAND
from tempadmin.keys import Unsealable
from tempadmin.runtime import Runtime
from tickets import credential, entries
from tickets.models import AccessRequest
from tickets.states import State


def let_in_early() -> Iterator[Finding]:
    """Accounts that were let in, or whose password was shown, without whoever came by the one-time link (P5)."""
    let_in = and_(AccessRequest.activated_at.is_not(None), AccessRequest.started_at.is_(None))
    for public_id in _of(let_in):
        yield error(f"the account of request {public_id} was let in, and nobody had come by its link", BY_HAND)
    early = or_(AccessRequest.entry != Entry.CREDENTIAL, AccessRequest.activated_at.is_(None))
    for public_id in _of(and_(AccessRequest.credential_shown_at.is_not(None), early)):
        yield error(f"a password of request {public_id} was shown that lets nobody in", BY_HAND)


def forgotten() -> Iterator[Finding]:
    """Accounts elsewhere that nobody lets in, and of which nobody says why (P11)."""
    shut = and_(AccessRequest.state == State.ACTIVE, AccessRequest.activated_at.is_(None))
    quiet = and_(shut, AccessRequest.next_attempt_at.is_(None), AccessRequest.last_error.is_(None))
    query = select(AccessRequest.public_id, AccessRequest.connector).where(quiet, AccessRequest.create_attempts > 0)
    for public_id, connector in db.session.execute(query).all():
        if entries.is_elsewhere(connector):
            yield error(f"nobody lets the account of request {public_id} in", BY_HAND)


def passwords(runtime: Runtime) -> Iterator[Finding]:
    """Passwords that are kept longer than they may be, or not sealed (P12)."""
    shown = AccessRequest.credential_shown_at.is_not(None)
    useless = or_(AccessRequest.state != State.ACTIVE, AccessRequest.entry != Entry.CREDENTIAL, shown)
    for public_id in _of(and_(AccessRequest.sealed_credential.is_not(None), useless)):
        yield error(f"request {public_id} keeps a password that nobody may be shown", BY_HAND)
    for request in db.session.scalars(select(AccessRequest).where(AccessRequest.sealed_credential.is_not(None))):
        try:
            credential.opened(request, runtime=runtime)
        except Unsealable as refusal:
            yield error(f"the password of request {request.public_id} cannot be opened: {refusal}", BY_HAND)


def _of(which: ColumnElement[bool]) -> Iterator[str]:
    yield from db.session.scalars(select(AccessRequest.public_id).where(which))
