"""A little history for the demo world: ended accesses, made by the real use cases on a clock set back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from sqlalchemy import select

from instances.demo import world_made
from tempadmin.accounts.models import User
from tempadmin.accounts.sign_in import Client
from tempadmin.accounts.totp import code_at
from tempadmin.audit.log import Actor
from tempadmin.db import db
from tempadmin.runtime import EXTENSION, Runtime
from tickets import tokens
from tickets.confirm import confirm, open_confirmation
from tickets.end import end_access
from tickets.expire import expire_due
from tickets.hand_off import Kept, issue_code
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.redeem import redeem
from tickets.request import request_access
from tickets.states import EndReason

STORIES = (
    ("delta", "Reset of the mail gateway after the certificate ran out.", "HELP-2207", 50, timedelta(minutes=22)),
    ("birch-health", "The start page shows an empty banner since the update.", "HELP-2231", 26, None),
    ("acme", "Search finds nothing in Danish; we look at the index settings.", None, 3, timedelta(minutes=60)),
)
"""Instance, reason, external ticket, hours ago, and how long somebody was inside (nobody: the request lapsed)."""


class _PastClock:
    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@dataclass(frozen=True)
class _Teller:
    runtime: Runtime
    clock: _PastClock
    seed: str
    person: User


def init_app(app: Flask) -> None:
    """Listen for a new demo world."""
    world_made.connect(_tell, sender=app)


def _tell(app: Flask, *, runtime: Runtime, world: dict[str, Any]) -> None:
    teller = world["omniadmins"][0]
    person = db.session.scalars(select(User).where(User.email == teller["email"])).one()
    now = runtime.now()
    # Nobody wants mails about what happened before the world was made.
    without_mail = runtime.settings.model_copy(update={"confirm_by_mail": False, "mail_url": "none"})
    for web_id, reason, external_ticket, hours, inside in STORIES:
        clock = _PastClock(now - timedelta(hours=hours))
        past = replace(runtime, clock=clock, settings=without_mail)
        app.extensions[EXTENSION] = past
        try:
            told = _Teller(past, clock, teller["totp_secret"], person)
            _one(told, web_id, reason, external_ticket, inside)
        finally:
            app.extensions[EXTENSION] = runtime


def _one(teller: _Teller, web_id: str, reason: str, external_ticket: str | None, inside: timedelta | None) -> None:
    runtime, clock = teller.runtime, teller.clock
    asked = request_access(
        requester_id=teller.person.id,
        web_id=web_id,
        reason=reason,
        external_ticket=external_ticket,
        duration=timedelta(hours=1),
        runtime=runtime,
    )
    provision(request_id=asked.id, runtime=runtime)
    if inside is None:
        clock.moment += runtime.settings.ticket_ttl + timedelta(seconds=9)
        expire_due(runtime)
        return
    clock.moment += timedelta(seconds=41)
    _enter(teller, asked.id, asked.public_id)
    clock.moment += inside
    if inside < timedelta(hours=1):
        actor = Actor(id=teller.person.id, name=teller.person.full_name)
        end_access(request_id=asked.id, reason=EndReason.LOGOUT, actor=actor, runtime=runtime)
    else:
        expire_due(runtime)


def _enter(teller: _Teller, request_id: int, public_id: str) -> None:
    runtime, person_id = teller.runtime, teller.person.id
    key = open_confirmation(request_id=request_id, user_id=person_id, runtime=runtime)
    link = confirm(
        key=key,
        user_id=person_id,
        answer=code_at(teller.seed, runtime.now()),
        runtime=runtime,
    )
    verifier = "the demo's own browser"
    url = issue_code(public_id=public_id, challenge=tokens.challenge_of(verifier), user_id=person_id, runtime=runtime)
    kept = Kept(verifier=verifier, key=link.key, until=link.expires_at)
    redeem(
        kept=kept,
        code=parse_qs(urlsplit(url).query)["code"][0],
        instance_id=db.session.get_one(AccessRequest, request_id).instance_id,
        present_session=None,
        client=Client(),
        runtime=runtime,
    )
