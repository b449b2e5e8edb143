"""The mails of an access: what is queued in the transaction that causes it, and how ids become words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy import select

from tempadmin.accounts.models import OMNIADMIN, LoginSession, User
from tempadmin.accounts.user_agents import device_words
from tempadmin.audit.log import Actor
from tempadmin.db import db
from tempadmin.outbox.queue import composers, enqueue
from tempadmin.runtime import Runtime
from tempadmin.web import words
from tempadmin.web.context import instance_source
from tickets import tokens
from tickets.models import AccessRequest, Ticket
from tickets.states import State

CONFIRM_ACCESS, NOT_ME, ENTERED = "confirm_access", "not_me", "entered"


def init_app(app: Flask) -> None:
    """Register the composers."""
    composers(app)[CONFIRM_ACCESS] = _confirm_access
    composers(app)[NOT_ME] = _not_me
    composers(app)[ENTERED] = _entered


def send_confirmation(
    request: AccessRequest, *, key: str, expires_at: datetime, now: datetime, runtime: Runtime
) -> None:
    """Queue the mail that carries the confirmation link."""
    request.confirmation_mails += 1
    enqueue(
        CONFIRM_ACCESS,
        recipient=request.requester_email,
        ids={"request": request.id},
        secret=key,
        request_id=request.id,
        useful_until=expires_at,
        now=now,
        runtime=runtime,
    )


def warn_other_omniadmins(request: AccessRequest, *, actor: Actor, now: datetime, runtime: Runtime) -> None:
    """Queue a mail to every other omniadmin: somebody says that a request in their name was not theirs."""
    others = select(User.email).where(User.role == OMNIADMIN, User.active.is_(True), User.id != actor.id)
    for email in db.session.scalars(others).all():
        enqueue(NOT_ME, recipient=email, ids={"request": request.id}, request_id=request.id, now=now, runtime=runtime)


def tell_entered(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Queue a mail to the requester: somebody has just entered in their name."""
    ids = {"request": request.id, "at": int(now.timestamp())}
    enqueue(ENTERED, recipient=request.requester_email, ids=ids, request_id=request.id, now=now, runtime=runtime)


def confirmation_url(key: str, runtime: Runtime) -> str:
    """Return the confirmation link: on the default instance, built from the settings (S08)."""
    return f"{runtime.settings.base_url}/access/confirm?{urlencode({'key': key})}"


def request_url(request: AccessRequest, runtime: Runtime) -> str:
    """Return the address of a request's page."""
    return f"{runtime.settings.base_url}/access/{request.public_id}"


def _confirm_access(ids: dict[str, int], secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    request = db.session.get(AccessRequest, ids["request"])
    if request is None or request.state != State.AWAITING_CONFIRMATION or secret is None:
        return None
    ticket = db.session.scalars(
        select(Ticket).where(Ticket.request_id == request.id, Ticket.used_at.is_(None), Ticket.voided_at.is_(None))
    ).first()
    if ticket is None or not tokens.is_key_of(ticket, secret, runtime=runtime):
        return None  # replaced by a newer mail's link while this one waited
    return {
        **facts(request, runtime),
        "link": confirmation_url(secret, runtime),
        "until": moment(ticket.expires_at, request.requester_id, runtime),
    }


def _not_me(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    request = db.session.get(AccessRequest, ids["request"])
    return None if request is None else {**facts(request, runtime), "link": request_url(request, runtime)}


def _entered(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    request = db.session.get(AccessRequest, ids["request"])
    if request is None:
        return None
    session = db.session.scalars(select(LoginSession).where(LoginSession.access_request_id == request.id)).first()
    return {
        **facts(request, runtime),
        "link": request_url(request, runtime),
        "entered_at": moment(datetime.fromtimestamp(ids["at"], UTC), request.requester_id, runtime),
        "device": device_words(session.user_agent if session else None),
        "address": session.address if session else None,
    }


def facts(request: AccessRequest, runtime: Runtime, *, reader: User | None = None) -> dict[str, Any]:
    """Return what every mail about a request says, its times for one reader; for the requester if none is named."""
    reader_id = request.requester_id if reader is None else reader.id
    instance = instance_source().by_id(request.instance_id)
    return {
        "instance": request.instance_name,
        "host": instance.url.partition("//")[2] if instance else "",
        "reason": request.reason,
        "external_ticket": request.external_ticket,
        "duration": words.duration(request.duration_seconds),
        "requester": request.requester_name,
        "requester_email": request.requester_email,
        "asked_at": moment(request.created_at, reader_id, runtime),
        "page": request_url(request, runtime),
    }


def moment(value: datetime, reader_id: int, runtime: Runtime) -> str:
    """Say a moment in a reader's zone with UTC beside it."""
    person = db.session.get(User, reader_id)
    zone = words.zone(person.time_zone if person else None)
    here, now = words.moment(value, reader=zone, now=runtime.now(), style="day"), value.astimezone(words.zone(None))
    utc = f"{now:%H:%M} UTC"
    return f"{here} ({utc})" if person and person.time_zone else f"{here} UTC"
