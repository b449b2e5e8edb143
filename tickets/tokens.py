"""Tickets and their keys: made from a CSPRNG, stored as keyed digests, each purpose with salts of its own (S01, S06).

A key is the secret signed by itsdangerous under its purpose's salt: what is garbled, or was made for anything else,
is turned away before the database is asked. Whether a ticket still works is decided by the row alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from itsdangerous import BadSignature
from sqlalchemy import Table, bindparam, insert, select, update

from tempadmin.db import claimed, db, run
from tempadmin.errors import Gone, NotFound
from tempadmin.keys import new_secret
from tempadmin.runtime import Runtime
from tickets import codes
from tickets.models import AccessRequest, Ticket
from tickets.refusals import Why, refused

CODE_PURPOSE = "ticket.code"
NO_LINK = "There is no such link here."
SPENT = "This link was used already, replaced by a newer one, or its time is over."

# Built once: every step of the way in reads or writes its ticket.
_TICKETS, _REQUESTS = (cast(Table, model.__table__) for model in (Ticket, AccessRequest))
_BY_KEY = (
    _TICKETS.c.digest.in_(bindparam("digests", expanding=True)),
    _TICKETS.c.purpose == bindparam("purpose"),
)
BY_KEY = select(Ticket).where(*_BY_KEY)
_OF_TICKET = ("id", "request_id", "purpose", "expires_at", "used_at", "voided_at")
_OF_REQUEST = ("public_id", "state", "instance_id", "requester_id", "subject_id")
LOCK = select(*(_TICKETS.c[name] for name in _OF_TICKET)).where(_TICKETS.c.id == bindparam("ticket")).with_for_update()
WITH_REQUEST = (
    select(*(_TICKETS.c[name] for name in _OF_TICKET), *(_REQUESTS.c[name] for name in _OF_REQUEST))
    .join_from(_TICKETS, _REQUESTS, _REQUESTS.c.id == _TICKETS.c.request_id)
    .where(*_BY_KEY)
)
_NO_CODE: dict[str, Any] = {"code_digest": None, "code_challenge": None, "code_expires_at": None}
_LIVE = _TICKETS.c.used_at.is_(None), _TICKETS.c.voided_at.is_(None)
USE = (
    update(_TICKETS)
    .where(
        _TICKETS.c.id == bindparam("ticket"),
        *_LIVE,
        _TICKETS.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"), **_NO_CODE)
)
PUT_CODE = (
    update(_TICKETS)
    .where(_TICKETS.c.id == bindparam("ticket"))
    .values(code_digest=bindparam("code"), code_challenge=bindparam("challenge"), code_expires_at=bindparam("until"))
)
VOID = (
    update(_TICKETS)
    .where(_TICKETS.c.request_id.in_(bindparam("requests", expanding=True)), *_LIVE)
    .values(voided_at=bindparam("now"), **_NO_CODE)
)
VOID_OF_PURPOSE = VOID.where(_TICKETS.c.purpose == bindparam("kind"))
ADD = insert(_TICKETS).inline()
LIVE_UNTIL = select(_TICKETS.c.expires_at).where(
    _TICKETS.c.request_id == bindparam("request"), *_LIVE, _TICKETS.c.expires_at > bindparam("now")
)
BURN_CODE = update(_TICKETS).where(_TICKETS.c.code_digest.in_(bindparam("digests", expanding=True))).values(**_NO_CODE)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a ticket stands."""

    id: int
    request_id: int
    purpose: str
    expires_at: datetime
    used_at: datetime | None
    voided_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Found(Standing):
    """A ticket and whose it is, as read by its key; what is decided is read again under lock."""

    public_id: str
    state: str
    instance_id: int
    requester_id: int
    subject_id: int | None


def issue(*, request_id: int, purpose: str, now: datetime, expires_at: datetime, runtime: Runtime) -> str:
    """Void a request's live ticket for the purpose, add a new one to the open transaction, return its key."""
    void(request_id=request_id, now=now, purpose=purpose)
    return issue_first(request_id=request_id, purpose=purpose, now=now, expires_at=expires_at, runtime=runtime)


def issue_first(*, request_id: int, purpose: str, now: datetime, expires_at: datetime, runtime: Runtime) -> str:
    """Do what ``issue`` does where there can be none yet; the index of live tickets would refuse a second one."""
    secret = new_secret()
    ticket = {
        "request_id": request_id,
        "purpose": purpose,
        "digest": runtime.keys.digest(_salt(purpose), secret),
        "issued_at": now,
        "expires_at": expires_at,
    }
    run(ADD, ticket)
    return str(runtime.keys.serializer(_salt(purpose)).dumps(secret))


def void(*, request_id: int, now: datetime, purpose: str | None = None) -> None:
    """Make a request's live tickets worthless, codes included."""
    void_all([request_id], now=now, purpose=purpose)


def void_all(request_ids: Sequence[int], *, now: datetime, purpose: str | None = None) -> None:
    """Do for many requests, in one statement, what ``void`` does for one."""
    theirs = {"requests": request_ids, "now": now}
    if purpose is None:
        run(VOID, theirs)
    else:
        run(VOID_OF_PURPOSE, {**theirs, "kind": purpose})


def find(key: str, *, purpose: str, runtime: Runtime) -> Ticket:
    """Return the ticket that a key was made for, in whatever state it is; writes nothing.

    Raises
    ------
    NotFound
        When the key is garbled, forged, or of another purpose.
    """
    ticket = db.session.scalars(BY_KEY, _wanted(key, purpose, runtime)).one_or_none()
    if ticket is None:
        refused(purpose, Why.UNKNOWN)
        raise NotFound(NO_LINK)
    return ticket


def find_with_request(key: str, *, purpose: str, runtime: Runtime) -> Found:
    """Return what ``find`` does, and what its request says, in one query; writes nothing.

    Raises
    ------
    NotFound
        As ``find``.
    """
    row = run(WITH_REQUEST, _wanted(key, purpose, runtime)).mappings().one_or_none()
    if row is None:
        refused(purpose, Why.UNKNOWN)
        raise NotFound(NO_LINK)
    return Found(**row)


def locked(ticket_id: int) -> Standing | None:
    """Lock a ticket, whose request's lock is held, and return how it stands now."""
    row = run(LOCK, {"ticket": ticket_id}).mappings().one_or_none()
    return None if row is None else Standing(**row)


def _wanted(key: str, purpose: str, runtime: Runtime) -> dict[str, Any]:
    try:
        secret = str(runtime.keys.serializer(_salt(purpose)).loads(key))
    except BadSignature:
        refused(purpose, Why.UNKNOWN)
        raise NotFound(NO_LINK) from None
    return {"digests": runtime.keys.digests(_salt(purpose), secret), "purpose": purpose}


def is_key_of(ticket: Ticket, key: str, *, runtime: Runtime) -> bool:
    """Tell whether a key is a ticket's."""
    secret = str(runtime.keys.serializer(_salt(ticket.purpose)).loads(key))
    return ticket.digest in runtime.keys.digests(_salt(ticket.purpose), secret)


def live_until(*, request_id: int, now: datetime) -> datetime | None:
    """Return until when a request's live ticket works, or ``None`` when it has none."""
    return cast("datetime | None", run(LIVE_UNTIL, {"request": request_id, "now": now}).scalar())


def refuse_spent(ticket: Ticket | Standing, *, now: datetime) -> None:
    """Refuse a ticket that was used or voided, or whose time is over: it works up to its expiry and not at it (P4).

    Raises
    ------
    Gone
        Always the same sentence, whatever the cause.
    """
    if ticket.used_at is not None or ticket.voided_at is not None or now >= ticket.expires_at:
        refused(ticket.purpose, _why(ticket))
        raise Gone(SPENT)


def use(ticket: Ticket | Standing, *, now: datetime) -> None:
    """Use a ticket up by a guarded UPDATE in the open transaction (S04).

    Raises
    ------
    Gone
        When a rival was faster.
    """
    if not claimed(USE, {"ticket": ticket.id, "now": now}):
        refused(ticket.purpose, Why.USED)
        raise Gone(SPENT)


def put_code(ticket: Ticket, *, challenge: str, now: datetime, runtime: Runtime) -> str:
    """Put a fresh code for a browser's challenge on a locked ticket, in the place of a former one; return it."""
    code, kept = codes.new(CODE_PURPOSE, challenge=challenge, now=now, runtime=runtime)
    put = {"code": kept.digest, "challenge": kept.challenge, "until": kept.expires_at}
    run(PUT_CODE, {"ticket": ticket.id, **put})
    return code


def code_fits(ticket: Ticket, *, code: str, verifier: str, now: datetime, runtime: Runtime) -> bool:
    """Tell whether a code is this ticket's, in time, and was made for the browser that holds the verifier."""
    kept = codes.Kept(digest=ticket.code_digest, challenge=ticket.code_challenge, expires_at=ticket.code_expires_at)
    return codes.fits(kept, CODE_PURPOSE, code=code, verifier=verifier, now=now, runtime=runtime)


def burn_code(code: str, *, runtime: Runtime) -> None:
    """Make a presented code worthless in the open transaction: only that code, never its ticket (design §4.5)."""
    run(BURN_CODE, {"digests": runtime.keys.digests(CODE_PURPOSE, code)})


def _why(ticket: Ticket | Standing) -> Why:
    if ticket.used_at is not None:
        return Why.USED
    return Why.EXPIRED if ticket.voided_at is None else Why.VOIDED


def _salt(purpose: str) -> str:
    return f"ticket.{purpose}"
