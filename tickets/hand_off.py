"""The hand-off: one browser is led from a one-time link over the console and back (design §4.5).

It has the shape of OAuth's authorization code with PKCE (RFC 6749, RFC 7636). The instance's host keeps a verifier in
this browser and shows the console its challenge; the console, which knows who is signed in there, puts a code for that
challenge on the ticket; only the browser that holds the verifier can use the code. So a forwarded, scanned or stolen
link fails at the console, and a relayed one at the return. The ticket's key never reaches the second host.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from urllib.parse import urlencode

from sqlalchemy import Table, bindparam, select

from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, retried_once, run, transaction
from tempadmin.errors import Conflict, Forbidden, Gone, NotFound, Unavailable
from tempadmin.keys import Unsealable, new_secret
from tempadmin.runtime import Runtime
from tempadmin.web.context import instance_source
from tickets import codes, tokens
from tickets.models import LOGIN, AccessRequest, Ticket
from tickets.states import State

COOKIE_PURPOSE = "hand-off"

# Built once: every way in goes through here.
_REQUESTS = cast(Table, AccessRequest.__table__)
LOCK_REQUEST = (
    select(*(_REQUESTS.c[name] for name in ("id", "state", "requester_id", "instance_id")))
    .where(_REQUESTS.c.public_id == bindparam("public_id"))
    .with_for_update()
)
LOCK_LIVE = (
    select(Ticket)
    .where(
        Ticket.request_id == bindparam("request"),
        Ticket.purpose == LOGIN,
        Ticket.used_at.is_(None),
        Ticket.voided_at.is_(None),
    )
    .with_for_update()
    .execution_options(populate_existing=True)
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the browser keeps on the instance's host between the two redirects."""

    verifier: str
    key: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Departure:
    """The way to the console: the cookie to keep, for how many seconds, and the address."""

    cookie: str
    max_age: int
    url: str


def depart(*, key: str, instance_id: int, cookie: str | None, runtime: Runtime) -> Departure:
    """Open a one-time link on the instance's host. Writes nothing; a live cookie for the same key is used again.

    Raises
    ------
    NotFound
        When the link is garbled, of another purpose, or of another instance (S06, S31).
    Gone
        When it was used, replaced or has expired.
    """
    found = tokens.find_with_request(key, purpose=LOGIN, runtime=runtime)
    if found.instance_id != instance_id:
        raise NotFound(tokens.NO_LINK)
    now = runtime.now()
    tokens.refuse_spent(found, now=now)
    kept = open_cookie(cookie, instance_id=instance_id, runtime=runtime)
    if kept is None or kept.key != key:
        kept = Kept(verifier=new_secret(), key=key, until=found.expires_at)
    query = urlencode({"request": found.public_id, "challenge": codes.challenge_of(kept.verifier)})
    return Departure(
        cookie=_seal(kept, instance_id=instance_id, runtime=runtime),
        max_age=max(1, int((found.expires_at - now).total_seconds())),
        url=f"{runtime.settings.base_url}/access/enter?{query}",
    )


@retried_once
def issue_code(*, public_id: str, challenge: str, user_id: int, runtime: Runtime) -> str:
    """Put a code for a browser's challenge on the live login ticket; return the address that takes it.

    One of the two GETs that write: it needs the requester's own session and the second factor that was given for
    this request, which is what the state ``ready`` means (S02, S03).

    Raises
    ------
    NotFound
        When there is no such request, or it is not this person's.
    Conflict
        When it was not confirmed yet, or was entered already.
    Gone
        When it is over, or its ticket is.
    """
    with transaction():
        user = lock(User, user_id)
        request = run(LOCK_REQUEST, {"public_id": public_id}).one_or_none()
        if request is None:
            raise NotFound(tokens.NO_LINK)
        if user is None or request.requester_id != user_id:
            raise NotFound(tokens.NO_LINK)
        if user.role != OMNIADMIN or not user.active:
            raise Forbidden("Only active omniadmins can enter an instance.")
        # The request's lock is held, so there is one live ticket at most.
        ticket = db.session.scalars(LOCK_LIVE, {"request": request.id}).one_or_none()
        now = runtime.now()
        _refuse_unless_ready(State(request.state), page=f"/access/{public_id}")
        if ticket is None:
            raise Gone(tokens.SPENT)
        tokens.refuse_spent(ticket, now=now)
        instance = instance_source().by_id(request.instance_id)
        if instance is None:
            raise Unavailable("The instance cannot be found.")
        code = tokens.put_code(ticket, challenge=challenge, now=now, runtime=runtime)
        actor = Actor(id=user.id, name=user.full_name)
        record("access.code_issued", instance_id=instance.id, actor=actor, at=now, request_id=request.id)
    return f"{instance.url}/login/return?{urlencode({'code': code})}"


def open_cookie(cookie: str | None, *, instance_id: int, runtime: Runtime) -> Kept | None:
    """Return what a hand-off cookie keeps, or ``None`` when it is not one, not this host's, or too old."""
    if not cookie:
        return None
    try:
        values = json.loads(runtime.keys.unseal(COOKIE_PURPOSE, cookie, owner=f"instance:{instance_id}"))
    except (Unsealable, ValueError):
        return None
    kept = Kept(verifier=values["verifier"], key=values["key"], until=datetime.fromisoformat(values["until"]))
    return kept if runtime.now() < kept.until else None


def _seal(kept: Kept, *, instance_id: int, runtime: Runtime) -> str:
    values = {"verifier": kept.verifier, "key": kept.key, "until": kept.until.isoformat()}
    return runtime.keys.seal(COOKIE_PURPOSE, json.dumps(values).encode(), owner=f"instance:{instance_id}")


def _refuse_unless_ready(state: State, *, page: str) -> None:
    if state == State.READY:
        return
    if state == State.ACTIVE:
        raise Conflict("You entered already; the link has done its work.", next_url=page, next_label="Open the request")
    if state in (State.ENDING, State.ENDED):
        raise Gone("This access is over.", next_url=page, next_label="Open the request")
    raise Conflict("Confirm first that it is you.", next_url=page, next_label="Open the request")
