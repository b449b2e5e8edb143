"""The mails of an access: what is queued in the transaction that causes it, and how ids become words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy import select

from tempadmin.accounts.models import LoginSession, User
from tempadmin.accounts.queries import time_zone_of
from tempadmin.accounts.user_agents import device_words
from tempadmin.db import db
from tempadmin.outbox.queue import composers, enqueue, is_off
from tempadmin.runtime import Runtime
from tempadmin.web import words
from tempadmin.web.context import instance_source
from tickets import queries, recipients, tokens, ways_in
from tickets.models import IMPERSONATION, AccessRequest
from tickets.states import OPEN, State

Words = dict[str, Any]
"""What a mail's template is rendered with."""

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


def warn_other_omniadmins(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Queue a mail to every other omniadmin: somebody says that a request in their name was not theirs."""
    if is_off():
        return
    for reader in db.session.scalars(recipients.other_omniadmins(request)).all():
        ids = {"request": request.id, "reader": reader.id}
        enqueue(
            NOT_ME,
            recipient=reader.email,
            ids=ids,
            request_id=request.id,
            now=now,
            runtime=runtime,
            promptly=False,
        )


def tell_entered(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Queue a mail to the requester: somebody has just entered in their name."""
    ids = {"request": request.id, "at": int(now.timestamp())}
    enqueue(ENTERED, recipient=request.requester_email, ids=ids, request_id=request.id, now=now, runtime=runtime)


def confirmation_url(key: str, runtime: Runtime) -> str:
    """Return the confirmation link: on the default instance, built from the settings (S08)."""
    return f"{runtime.settings.base_url}/access/confirm?{urlencode({'key': key})}"


def page_url(request: AccessRequest, *, reader: User, runtime: Runtime) -> str | None:
    """Return where a reader sees a request: on their own instance, else on the default one (S08); ``None`` if nowhere.

    What is open is on the customer's *Support access*, what is over has its own record there.
    """
    if reader.instance_id != request.instance_id:
        return f"{runtime.settings.base_url}/access/{request.public_id}"
    instance = instance_source().by_id(request.instance_id)
    if instance is None or instance.archived:
        return None
    return f"{instance.url}/support-access" + ("" if State(request.state) in OPEN else f"/{request.public_id}")


def _confirm_access(ids: dict[str, int], secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = db.session.get(User, request.requester_id)
    ticket = queries.live_ticket(request)
    if request.state != State.AWAITING_CONFIRMATION or secret is None or ticket is None or reader is None:
        return None
    if not tokens.is_key_of(ticket, secret, runtime=runtime):
        return None  # replaced by a newer mail's link while this one waited
    return {
        **facts(request, reader=reader),
        "link": confirmation_url(secret, runtime),
        "deadline": moment(ticket.expires_at, reader),
    }


def _not_me(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    others = recipients.other_omniadmins(request).where(User.id == ids["reader"])
    reader = db.session.scalars(others).one_or_none()
    if reader is None:
        return None
    return {**facts(request, reader=reader), "link": page_url(request, reader=reader, runtime=runtime)}


def _entered(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = db.session.get(User, request.requester_id)
    if reader is None:
        return None
    session = db.session.scalars(select(LoginSession).where(LoginSession.access_request_id == request.id)).first()
    device = device_words(session.user_agent if session else None)
    return {
        **facts(request, reader=reader),
        "link": page_url(request, reader=reader, runtime=runtime),
        "entered_at": moment(datetime.fromtimestamp(ids["at"], UTC), reader),
        "origin": f"{device} at {session.address}" if session and session.address else device,
    }


def facts(request: AccessRequest, *, reader: User) -> Words:
    """Return what every mail about a request says, its times for one reader."""
    instance = instance_source().by_id(request.instance_id)
    impersonation = request.kind == IMPERSONATION
    whose = f"impersonation of {request.subject_name} at" if impersonation else "administrator access to"
    return {
        "instance": request.instance_name,
        "host": instance.url.partition("//")[2] if instance else "",
        "access": f"{whose} {request.instance_name}",
        "impersonation": impersonation,
        "way_in": ways_in.promise_of(request),
        "not_seen": ways_in.not_seen(request),
        "subject_name": request.subject_name,
        "reason": request.reason,
        "external_ticket": request.external_ticket,
        "duration": words.duration(request.duration_seconds),
        "requester": request.requester_name,
        "requester_email": request.requester_email,
        "asked_at": moment(request.created_at, reader),
    }


def moment(value: datetime, reader: User) -> str:
    """Say a moment in a reader's zone with UTC beside it."""
    return words.moment_in_mail(value, zone_name=time_zone_of(reader))
