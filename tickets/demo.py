"""A little history for the demo world: what is over, told by the real use cases and pages on a clock set back."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from sqlalchemy import select

from instances.demo import world_made
from instances.directory import Acting
from instances.vouching import vouch
from tempadmin.accounts.models import User
from tempadmin.accounts.sign_in import Client
from tempadmin.accounts.totp import code_at
from tempadmin.audit.log import Actor
from tempadmin.db import db
from tempadmin.outbox.queue import deliver_due
from tempadmin.runtime import EXTENSION, Runtime, application
from tempadmin.web.context import instance_source
from tickets import codes, extend, queries
from tickets.approve import START_WITHIN, approve, reject
from tickets.asking import Asked
from tickets.confirm import confirm, open_confirmation
from tickets.demo_stories import DAY, HOUR, STORIES, Story
from tickets.demo_visits import Visitor
from tickets.end import end_access
from tickets.expire import expire_due
from tickets.hand_off import Kept, issue_code
from tickets.impersonate import request_impersonation
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.redeem import redeem
from tickets.request import request_access
from tickets.start import start
from tickets.states import EndReason

SECOND = timedelta(seconds=1)
LEAVE = "/support-session/leave"


class _PastClock:
    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@dataclass(frozen=True)
class _Teller:
    """Who tells one story: the runtime of those days, its clock, and the omniadmins' devices."""

    runtime: Runtime
    clock: _PastClock
    seeds: dict[str, str]

    def code(self, address: str) -> str:
        """What a person's device shows; a code that was not used yet."""
        self.clock.moment += 30 * SECOND
        return code_at(self.seeds[address], self.clock.now())


def init_app(app: Flask) -> None:
    """Listen for a new demo world."""
    world_made.connect(_tell, sender=app)


def _tell(app: Flask, *, runtime: Runtime, world: dict[str, Any]) -> None:
    seeds = {person["email"]: person["totp_secret"] for person in world["omniadmins"]}
    now = runtime.now()
    # Nobody wants mails about what happened before the world was made.
    without_mail = runtime.settings.model_copy(update={"confirm_by_mail": False, "mail_url": "none"})
    for story in STORIES:
        clock = _PastClock(now - story.ago)
        past = replace(runtime, clock=clock, settings=without_mail)
        app.extensions[EXTENSION] = past
        try:
            _one(story, _Teller(past, clock, seeds))
            deliver_due(past)
        finally:
            app.extensions[EXTENSION] = runtime


def _one(story: Story, teller: _Teller) -> None:
    runtime, clock = teller.runtime, teller.clock
    asked = _ask(story, runtime)
    for answer in story.answers:
        clock.moment += answer.after
        (approve if answer.yes else reject)(
            request_id=asked.id, acting=_acting(answer.by), note=answer.note, runtime=runtime
        )
        if not answer.yes:
            return
    if asked.pending and not (story.answers and story.starts):
        clock.moment += START_WITHIN if story.answers else runtime.settings.approval_ttl
        expire_due(runtime)
        return
    if asked.pending:
        clock.moment += 3 * 60 * SECOND
        start(request_id=asked.id, user_id=_person(story.who).id, runtime=runtime)
    provision(request_id=asked.id, runtime=runtime)
    if story.inside is None:
        clock.moment += runtime.settings.ticket_ttl + 9 * SECOND
        expire_due(runtime)
        return
    visitor = _enter(story, teller, asked)
    _be_inside(story, teller, asked, visitor, story.inside)
    _vouch(story, teller, asked)


def _ask(story: Story, runtime: Runtime) -> Asked:
    requester_id = _person(story.who).id
    if story.subject is not None:
        return request_impersonation(
            requester_id=requester_id,
            web_id=story.web_id,
            email=story.subject,
            reason=story.reason,
            duration=HOUR,
            runtime=runtime,
        )
    return request_access(
        requester_id=requester_id,
        web_id=story.web_id,
        reason=story.reason,
        external_ticket=story.external_ticket,
        duration=HOUR,
        runtime=runtime,
    )


def _enter(story: Story, teller: _Teller, asked: Asked) -> Visitor:
    runtime, person_id = teller.runtime, _person(story.who).id
    key = open_confirmation(request_id=asked.id, user_id=person_id, runtime=runtime)
    link = confirm(key=key, user_id=person_id, answer=teller.code(story.who), runtime=runtime)
    verifier = "the demo's own browser"
    challenge = codes.challenge_of(verifier)
    url = issue_code(public_id=asked.public_id, challenge=challenge, user_id=person_id, runtime=runtime)
    instance_id = db.session.get_one(AccessRequest, asked.id).instance_id
    session = redeem(
        kept=Kept(verifier=verifier, key=link.key, until=link.expires_at),
        code=parse_qs(urlsplit(url).query)["code"][0],
        instance_id=instance_id,
        present_session=None,
        client=Client(),
        runtime=runtime,
    ).secret
    instance = instance_source().by_id(instance_id)
    if instance is None:
        raise RuntimeError(f"{story.web_id} is gone")
    return Visitor(application(), base_url=instance.url, session=session)


def _be_inside(story: Story, teller: _Teller, asked: Asked, visitor: Visitor, inside: timedelta) -> None:
    """Open the pages one after the other, and end as it ended."""
    clock = teller.clock
    until = clock.moment + inside
    pause = inside / (len(story.visits) + 1)
    for number, visit in enumerate(story.visits):
        clock.moment += pause
        page = re.sub(r"\{(.+)\}", lambda found: str(_person(found[1]).id), visit.page)
        if visit.form is None:
            visitor.open(page)
        else:
            visitor.send(page, visit.form)
        if number == len(story.visits) // 2:
            _ask_for_more_time(story, teller, asked)
    clock.moment = until
    if story.end == EndReason.LOGOUT:
        visitor.send(LEAVE, {})
    elif story.ended_by is not None:
        actor = _acting(story.ended_by).actor
        end_access(request_id=asked.id, reason=story.end, actor=actor, runtime=teller.runtime)
    else:
        expire_due(teller.runtime)


def _ask_for_more_time(story: Story, teller: _Teller, asked: Asked) -> None:
    if story.more_time is None:
        return
    reason, added, answer = story.more_time
    extend.extend(
        request_id=asked.id,
        user_id=_person(story.who).id,
        reason=reason,
        added=added,
        answer=teller.code(story.who),
        runtime=teller.runtime,
    )
    teller.clock.moment += answer.after
    extension = queries.extension_of(db.session.get_one(AccessRequest, asked.id))
    if extension is None:
        raise RuntimeError("more time was asked for, and is not there")
    extend.approve_extension(
        request_id=asked.id, extension_id=extension.id, acting=_acting(answer.by), runtime=teller.runtime
    )


def _vouch(story: Story, teller: _Teller, asked: Asked) -> None:
    if story.vouched_by is None:
        return
    teller.clock.moment += DAY
    for user in queries.made_in(db.session.get_one(AccessRequest, asked.id)):
        vouch(acting=_acting(story.vouched_by), user_id=user.id, runtime=teller.runtime)


def _person(address: str) -> User:
    return db.session.scalars(select(User).where(User.email == address)).one()


def _acting(address: str) -> Acting:
    person = _person(address)
    actor = Actor(id=person.id, name=person.full_name)
    return Acting(user_id=person.id, instance_id=person.instance_id, actor=actor, request_id=None)
