"""Accesses that need somebody's yes, brought by the use cases to where a test wants them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import select

from instances.directory import Acting
from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.accounts.sign_in import Client
from tempadmin.audit.log import Actor
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db, transaction
from tempadmin.errors import DomainError
from tests.tickets.evidence import code_in, key_in
from tests.world import REASON, World
from tickets.approve import approve, reject
from tickets.confirm import confirm
from tickets.extend import extend
from tickets.hand_off import depart, issue_code, open_cookie
from tickets.impersonate import request_impersonation
from tickets.models import AccessRequest, Approval, Extension
from tickets.provision import provision
from tickets.redeem import redeem
from tickets.request import request_access
from tickets.start import start

HOUR = timedelta(hours=1)
ADA, BEA = "ada@operator.example", "bea@operator.example"
ROSA, MAX, LIAM = "rosa@acme.example", "max@acme.example", "liam@acme.example"
ACME = "http://acme.localhost:8000"


@dataclass(frozen=True)
class People:
    """Ids of whoever plays: two omniadmins; two administrators and a member of Acme."""

    ada: int
    bea: int
    rosa: int
    max: int
    liam: int
    acme: int


def gather(world: World, **policy: Any) -> People:
    """Make Acme with its people, and two omniadmins."""
    ada, bea = world.omniadmin(ADA), world.omniadmin(BEA, "Bea Lund")
    acme = world.instance("acme", "Acme Logistics", **policy)
    rosa, other = world.administrator(acme, ROSA), world.administrator(acme, MAX)
    return People(ada.id, bea.id, rosa.id, other.id, world.user(acme, LIAM).id, acme.id)


def acting(user_id: int, *, request_id: int | None = None) -> Acting:
    """Somebody who acts, in a support session if a request is named."""
    db.session.rollback()
    user = db.session.get_one(User, user_id)
    actor = Actor(id=user.id, name=user.full_name)
    return Acting(user_id=user.id, instance_id=user.instance_id, actor=actor, request_id=request_id)


def ask(world: World, person: int, web_id: str = "acme", duration: timedelta = HOUR) -> int:
    """Ask for admin access; return the request's id."""
    return request_access(
        requester_id=person,
        web_id=web_id,
        reason=REASON,
        external_ticket=None,
        duration=duration,
        runtime=world.runtime,
    ).id


def ask_user(world: World, person: int, email: str = LIAM, web_id: str = "acme", duration: timedelta = HOUR) -> int:
    """Ask a user for consent; return the request's id."""
    return request_impersonation(
        requester_id=person, web_id=web_id, email=email, reason=REASON, duration=duration, runtime=world.runtime
    ).id


def yes(world: World, request_id: int, *people: int, note: str | None = None) -> None:
    """Have people approve, one after the other."""
    for person in people:
        approve(request_id=request_id, acting=acting(person), note=note, runtime=world.runtime)


def no(world: World, request_id: int, person: int, note: str | None = None) -> None:
    """Have somebody reject."""
    reject(request_id=request_id, acting=acting(person), note=note, runtime=world.runtime)


def begin(world: World, request_id: int, person: int) -> None:
    """Press Start, and have the account made."""
    start(request_id=request_id, user_id=person, runtime=world.runtime)
    provision(request_id=request_id, runtime=world.runtime)


def confirmation_key(world: World) -> str:
    """The key in the newest confirmation mail."""
    links = [found[0] for mail in world.mails() if (found := re.search(r"http\S+/access/confirm\S+", mail))]
    return key_in(links[-1])


def confirmed(world: World, request_id: int, person: int) -> str:
    """Go on from Start up to the one-time link; return its key."""
    begin(world, request_id, person)
    return confirm(key=confirmation_key(world), user_id=person, answer=world.next_code(), runtime=world.runtime).key


def entering(world: World, request_id: int, person: int, key: str, present: str | None = None) -> Callable[[], str]:
    """Walk the hand-off up to the return; return what redeems."""
    request = world.request(request_id)
    instance_id, public_id = request.instance_id, request.public_id
    left = depart(key=key, instance_id=instance_id, cookie=None, runtime=world.runtime)
    challenge = parse_qs(urlsplit(left.url).query)["challenge"][0]
    back = issue_code(public_id=public_id, challenge=challenge, user_id=person, runtime=world.runtime)
    kept = open_cookie(left.cookie, instance_id=instance_id, runtime=world.runtime)
    assert kept is not None
    return lambda: (
        redeem(
            kept=kept,
            code=code_in(back),
            instance_id=instance_id,
            present_session=present,
            client=Client(),
            runtime=world.runtime,
        ).secret
    )


def go_on(world: World, request_id: int, person: int, present: str | None = None) -> str:
    """Confirm by the newest mail and go in, with a request that asked nobody; return the session's secret."""
    key = confirmation_key(world)
    link = confirm(key=key, user_id=person, answer=world.next_code(), runtime=world.runtime)
    return entering(world, request_id, person, link.key, present)()


def go_in(world: World, request_id: int, person: int, present: str | None = None) -> str:
    """Go the whole way from ``approved`` to ``active``; return the session's secret."""
    return entering(world, request_id, person, confirmed(world, request_id, person), present)()


def go_in_as(world: World, people: People, email: str = LIAM, duration: timedelta = HOUR) -> tuple[int, str]:
    """Have Ada see Acme as a user who said yes; return the request's id and the session's secret."""
    request_id = ask_user(world, people.ada, email, duration=duration)
    subject = db.session.scalars(select(User.id).where(User.email == email, User.instance_id == people.acme)).one()
    yes(world, request_id, subject)
    return request_id, go_in(world, request_id, people.ada)


def stands(world: World, request_id: int) -> tuple[str, str | None]:
    """A request's state and why it ended."""
    request = world.request(request_id)
    return request.state, request.end_reason


def answers(request_id: int) -> dict[tuple[str, bool], str | None]:
    """What each side said; the second part of the key tells answers about more time."""
    db.session.rollback()
    rows = db.session.scalars(select(Approval).where(Approval.request_id == request_id))
    return {(row.side, row.extension_id is not None): row.decision for row in rows}


def more_time(request_id: int) -> Extension | None:
    """The request for more time."""
    db.session.rollback()
    return db.session.scalars(select(Extension).where(Extension.request_id == request_id)).one_or_none()


def change(model: type[User | VirtualInstance | AccessRequest], key: int, **columns: Any) -> None:
    """Change a row by hand, as a hand at the database would."""
    with transaction(as_service=True):
        row = db.session.get_one(model, key)
        for name, value in columns.items():
            setattr(row, name, value)


def told(instance_id: int, event: str) -> list[AuditEvent]:
    """An instance's events of one kind, oldest first."""
    db.session.rollback()
    query = select(AuditEvent).where(AuditEvent.instance_id == instance_id, AuditEvent.event == event)
    return list(db.session.scalars(query.order_by(AuditEvent.id)))


def outcomes(calls: Iterable[Callable[[], object]]) -> list[str]:
    """What calls came to, one after the other: the error's name, or ``done``."""
    found = []
    for call in calls:
        try:
            call()
        except DomainError as error:
            found.append(type(error).__name__)
        else:
            found.append("done")
    return found


def at(moment: datetime | None) -> datetime:
    """A moment that must be there."""
    assert moment is not None
    return moment


def more(
    world: World, request_id: int, person: int, *, added: timedelta = HOUR, code: str = "", reason: str = REASON
) -> bool:
    """Ask for more time with a fresh code, or with the one given."""
    return extend(
        request_id=request_id,
        user_id=person,
        reason=reason,
        added=added,
        answer=code or world.next_code(),
        runtime=world.runtime,
    )


def decide(
    world: World, how: Callable[..., object], request_id: int, person: int, *, note: str | None = None, key: int = 0
) -> None:
    """Answer the wish for more time."""
    found = more_time(request_id)
    assert found is not None
    how(
        request_id=request_id,
        extension_id=key or found.id,
        acting=acting(person),
        note=note,
        runtime=world.runtime,
    )


def state_of(request_id: int) -> str | None:
    """What became of the wish."""
    found = more_time(request_id)
    return None if found is None else found.state
