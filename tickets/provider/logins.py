"""One login at a product: the code is handed out, taken once, and what was given for it works while the access does.

Each function works in the transaction of its caller, locks in the order of the house (request, login, session), reads
the clock after that, and never believes what was read before it (S05, P3).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from instances.connectors.base import Entry
from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit.log import Actor, record
from tempadmin.db import claimed, db, lock
from tempadmin.errors import Conflict, Forbidden, Unavailable
from tempadmin.keys import new_secret
from tempadmin.runtime import Runtime
from tickets import codes, entries
from tickets.machine import locked
from tickets.models import AccessRequest
from tickets.provider.clients import Client
from tickets.provider.models import OidcLogin

CODE, TOKEN = "oidc.code", "oidc.token"
MOST_LATELY, LATELY = 30, timedelta(minutes=1)
"""More logins than this in so short a time are a product and a browser that send each other in circles."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a product asks for, already judged by itself."""

    redirect_uri: str
    challenge: str
    scope: str
    nonce: str | None


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A login whose code was taken rightly; all rows are locked."""

    login: OidcLogin
    request: AccessRequest
    now: datetime


def begin(wish: Wish, *, session_id: int, client: Client, runtime: Runtime) -> str:
    """Hand out a code to the browser in which an access is active.

    Raises
    ------
    Forbidden
        When this session is of no access that may log in at this product.
    Conflict
        When it is over.
    Unavailable
        When the account there is not let in yet, or the product asks in circles.
    """
    request_id = db.session.scalar(select(LoginSession.access_request_id).where(LoginSession.id == session_id))
    if request_id is None:
        raise Forbidden("This browser is signed in here as nobody whom the product may know.")
    request = locked(request_id)
    session, now = lock(LoginSession, session_id), runtime.now()
    if request.instance_id != client.instance_id or entries.read(request) is not Entry.OIDC:
        raise Forbidden("This access is none that is entered through the product's login.")
    if not _is_on(request, session, now=now):
        raise Conflict("This access is over.")
    if not entries.is_let_in(request):
        raise Unavailable("The account is not let in yet.")
    lately = (OidcLogin.request_id == request.id) & (OidcLogin.issued_at > now - LATELY)
    if (db.session.scalar(select(func.count()).where(lately)) or 0) >= MOST_LATELY:
        raise Unavailable("The product asks again and again. Try again in a minute.")
    code, kept = codes.new(CODE, challenge=wish.challenge, now=now, runtime=runtime)
    db.session.add(
        OidcLogin(
            request_id=request.id,
            session_id=session_id,
            instance_id=client.instance_id,
            client_id=client.client_id,
            redirect_uri=wish.redirect_uri,
            scope=wish.scope,
            nonce=wish.nonce,
            issued_at=now,
            code_digest=kept.digest,
            code_challenge=kept.challenge,
            code_expires_at=kept.expires_at,
        )
    )
    return code


def take(code: str, *, verifier: str, redirect_uri: str, client: Client, runtime: Runtime) -> Taken | None:
    """Take what a code was handed out for, once; ``None`` is a refusal, and what it burned is to be committed.

    Whatever is wrong, a code that was shown is worth nothing afterwards. One that was used before voids what it got
    then: somebody else has it, and nobody knows who was first (RFC 6749, 4.1.2; RFC 9700, 4.5.3).
    """
    digests = runtime.keys.digests(CODE, code)
    found = db.session.execute(
        select(OidcLogin.id, OidcLogin.request_id, OidcLogin.session_id).where(OidcLogin.code_digest.in_(digests))
    ).one_or_none()
    if found is None:
        return None
    request = locked(found.request_id)
    login, session = lock(OidcLogin, found.id), lock(LoginSession, found.session_id)
    now = runtime.now()
    if login is None:
        return None
    unused = update(OidcLogin).where(OidcLogin.id == login.id, OidcLogin.used_at.is_(None))
    if not claimed(unused.values(used_at=now)):
        _void(login, request, now=now)
        return None
    kept = codes.Kept(digest=login.code_digest, challenge=login.code_challenge, expires_at=login.code_expires_at)
    fits = codes.fits(kept, CODE, code=code, verifier=verifier, now=now, runtime=runtime)
    same_client = (login.client_id, login.instance_id) == (client.client_id, client.instance_id)
    if not fits or not same_client or login.redirect_uri != redirect_uri or not _is_on(request, session, now=now):
        return None
    return Taken(login=login, request=request, now=now)


def give_token(taken: Taken, *, runtime: Runtime) -> str:
    """Put a fresh access token on a login that was just taken, until the access ends; return it."""
    token = new_secret()
    taken.login.token_digest = runtime.keys.digest(TOKEN, token)
    taken.login.token_expires_at = taken.request.ends_at
    request = taken.request
    record(
        "access.signed_in_to_product",
        instance_id=request.instance_id,
        actor=_requester(request),
        at=taken.now,
        request_id=request.id,
        account=request.account_name,
    )
    return token


def behind(token: str, *, instance_id: int, runtime: Runtime) -> AccessRequest | None:
    """Return the access that a token speaks of, while it is active; writes nothing, locks nothing (P3)."""
    digests = runtime.keys.digests(TOKEN, token)
    login = db.session.scalars(
        select(OidcLogin).where(OidcLogin.token_digest.in_(digests), OidcLogin.instance_id == instance_id)
    ).one_or_none()
    if login is None or login.voided_at is not None or login.token_expires_at is None:
        return None
    now = runtime.now()
    request = db.session.get_one(AccessRequest, login.request_id)
    session = db.session.get(LoginSession, login.session_id)
    return request if now < login.token_expires_at and _is_on(request, session, now=now) else None


def _is_on(request: AccessRequest, session: LoginSession | None, *, now: datetime) -> bool:
    """Tell whether the one session of an access may act: that asks whether the access is active and in time, too."""
    if session is None or session.access_request_id != request.id:
        return False
    user = db.session.get(User, session.user_id, populate_existing=True)
    return sessions.why_dead(session, user, now) is None


def _void(login: OidcLogin, request: AccessRequest, *, now: datetime) -> None:
    if login.token_digest is None or login.voided_at is not None:
        return
    login.voided_at = now
    record(
        "access.code_used_twice",
        instance_id=request.instance_id,
        actor=_requester(request),
        at=now,
        request_id=request.id,
        client=login.client_id,
    )


def _requester(request: AccessRequest) -> Actor:
    return Actor(id=request.requester_id, name=request.requester_name)
