"""Tickets and their keys: made from a CSPRNG, stored as keyed digests, each purpose with salts of its own (S01, S06).

A key is the secret signed by itsdangerous under its purpose's salt: what is garbled, or was made for anything else,
is turned away before the database is asked. Whether a ticket still works is decided by the row alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from itsdangerous import BadSignature
from sqlalchemy import select, update

from tempadmin.db import claimed, db
from tempadmin.errors import Gone, NotFound
from tempadmin.keys import new_secret
from tempadmin.runtime import Runtime
from tickets import codes
from tickets.models import Ticket
from tickets.refusals import Why, refused

CODE_PURPOSE = "ticket.code"
NO_LINK = "There is no such link here."
SPENT = "This link was used already, replaced by a newer one, or its time is over."


def issue(*, request_id: int, purpose: str, now: datetime, expires_at: datetime, runtime: Runtime) -> str:
    """Void a request's live ticket for the purpose, add a new one to the open transaction, return its key."""
    void(request_id=request_id, now=now, purpose=purpose)
    secret = new_secret()
    db.session.add(
        Ticket(
            request_id=request_id,
            purpose=purpose,
            digest=runtime.keys.digest(_salt(purpose), secret),
            issued_at=now,
            expires_at=expires_at,
        )
    )
    db.session.flush()
    return str(runtime.keys.serializer(_salt(purpose)).dumps(secret))


def void(*, request_id: int, now: datetime, purpose: str | None = None) -> None:
    """Make a request's live tickets worthless, codes included."""
    void_all([request_id], now=now, purpose=purpose)


def void_all(request_ids: Sequence[int], *, now: datetime, purpose: str | None = None) -> None:
    """Do for many requests, in one statement, what ``void`` does for one."""
    theirs = Ticket.request_id.in_(request_ids)
    live = update(Ticket).where(theirs, Ticket.used_at.is_(None), Ticket.voided_at.is_(None))
    if purpose is not None:
        live = live.where(Ticket.purpose == purpose)
    db.session.execute(live.values(voided_at=now, code_digest=None, code_challenge=None, code_expires_at=None))


def find(key: str, *, purpose: str, runtime: Runtime) -> Ticket:
    """Return the ticket that a key was made for, in whatever state it is; writes nothing.

    Raises
    ------
    NotFound
        When the key is garbled, forged, or of another purpose.
    """
    try:
        secret = str(runtime.keys.serializer(_salt(purpose)).loads(key))
    except BadSignature:
        refused(purpose, Why.UNKNOWN)
        raise NotFound(NO_LINK) from None
    digests = runtime.keys.digests(_salt(purpose), secret)
    ticket = db.session.scalars(
        select(Ticket).where(Ticket.digest.in_(digests), Ticket.purpose == purpose)
    ).one_or_none()
    if ticket is None:
        refused(purpose, Why.UNKNOWN)
        raise NotFound(NO_LINK)
    return ticket


def is_key_of(ticket: Ticket, key: str, *, runtime: Runtime) -> bool:
    """Tell whether a key is a ticket's."""
    secret = str(runtime.keys.serializer(_salt(ticket.purpose)).loads(key))
    return ticket.digest in runtime.keys.digests(_salt(ticket.purpose), secret)


def live_until(*, request_id: int, now: datetime) -> datetime | None:
    """Return until when a request's live ticket works, or ``None`` when it has none."""
    return db.session.scalar(
        select(Ticket.expires_at).where(
            Ticket.request_id == request_id,
            Ticket.used_at.is_(None),
            Ticket.voided_at.is_(None),
            Ticket.expires_at > now,
        )
    )


def refuse_spent(ticket: Ticket, *, now: datetime) -> None:
    """Refuse a ticket that was used or voided, or whose time is over: it works up to its expiry and not at it (P4).

    Raises
    ------
    Gone
        Always the same sentence, whatever the cause.
    """
    if ticket.used_at is not None or ticket.voided_at is not None or now >= ticket.expires_at:
        refused(ticket.purpose, _why(ticket))
        raise Gone(SPENT)


def use(ticket: Ticket, *, now: datetime) -> None:
    """Use a ticket up by a guarded UPDATE in the open transaction (S04).

    Raises
    ------
    Gone
        When a rival was faster.
    """
    live = update(Ticket).where(
        Ticket.id == ticket.id, Ticket.used_at.is_(None), Ticket.voided_at.is_(None), Ticket.expires_at > now
    )
    if not claimed(live.values(used_at=now, code_digest=None, code_challenge=None, code_expires_at=None)):
        refused(ticket.purpose, Why.USED)
        raise Gone(SPENT)


def put_code(ticket: Ticket, *, challenge: str, now: datetime, runtime: Runtime) -> str:
    """Put a fresh code for a browser's challenge on a locked ticket, in the place of a former one; return it."""
    code, kept = codes.new(CODE_PURPOSE, challenge=challenge, now=now, runtime=runtime)
    ticket.code_digest, ticket.code_challenge, ticket.code_expires_at = kept.digest, kept.challenge, kept.expires_at
    return code


def code_fits(ticket: Ticket, *, code: str, verifier: str, now: datetime, runtime: Runtime) -> bool:
    """Tell whether a code is this ticket's, in time, and was made for the browser that holds the verifier."""
    kept = codes.Kept(digest=ticket.code_digest, challenge=ticket.code_challenge, expires_at=ticket.code_expires_at)
    return codes.fits(kept, CODE_PURPOSE, code=code, verifier=verifier, now=now, runtime=runtime)


def burn_code(code: str, *, runtime: Runtime) -> None:
    """Make a presented code worthless in the open transaction: only that code, never its ticket (design §4.5)."""
    digests = runtime.keys.digests(CODE_PURPOSE, code)
    db.session.execute(
        update(Ticket)
        .where(Ticket.code_digest.in_(digests))
        .values(code_digest=None, code_challenge=None, code_expires_at=None)
    )


def _why(ticket: Ticket) -> Why:
    if ticket.used_at is not None:
        return Why.USED
    return Why.EXPIRED if ticket.voided_at is None else Why.VOIDED


def _salt(purpose: str) -> str:
    return f"ticket.{purpose}"
