"""Requests of the prepared scene that somebody was asked about."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.db import db, transaction
from tests.tickets.consent import acting, person
from tests.world import REASON, World
from tickets.approve import approve
from tickets.extend import extend
from tickets.impersonate import request_impersonation
from tickets.models import Extension
from tickets.start import start

SESSION_COOKIE = "tempadmin_session"


def impersonated(world: World, requester: str, subject: User) -> tuple[str, str]:
    """Have a user consent, and somebody enter; the request's name and the cookie of the one who sees what they see."""
    browser = world.signed_in(requester)
    asked = request_impersonation(
        requester_id=person(requester).id,
        web_id="acme",
        email=subject.email,
        reason=REASON,
        duration=timedelta(hours=1),
        runtime=world.runtime,
    )
    approve(request_id=asked.id, acting=acting(subject), runtime=world.runtime)
    start(request_id=asked.id, user_id=person(requester).id, runtime=world.runtime)
    assert browser.get(world.confirm(browser), follow=True).status_code == 200, browser.trail
    cookie = browser.cookie(SESSION_COOKIE, "acme.localhost")
    assert cookie is not None
    return asked.public_id, cookie


def asked_first(world: World, acme: VirtualInstance) -> dict[str, str]:
    """What waits: Ada's at Elm for Start, Dora's at Acme for two answers, and Cleo's inside Acme for more time."""
    cleo, dora = "cleo@operator.example", world.omniadmin("dora@operator.example", "Dora Lind")
    ada = world.signed_in("ada@operator.example")
    approved = world.ask(ada, "elm")
    words = {"approved": approved.public_id}
    approve(request_id=approved.id, acting=acting(dora), runtime=world.runtime)
    longer = world.enter(world.signed_in(cleo), "acme")
    words["longer"] = longer.public_id
    _ask_both(acme, ask=True)
    extend(
        request_id=longer.id,
        user_id=person(cleo).id,
        reason=REASON,
        added=timedelta(minutes=30),
        answer=world.next_code(),
        runtime=world.runtime,
    )
    words["more_time"] = str(db.session.scalars(select(Extension.id)).one())
    words["asked"] = world.ask(world.signed_in("dora@operator.example"), "acme").public_id
    _ask_both(acme, ask=False)
    return words


def _ask_both(acme: VirtualInstance, *, ask: bool) -> None:
    """Switch the policy without its use case, which would end what nobody was asked about."""
    with transaction():
        row = db.session.get_one(VirtualInstance, acme.id)
        row.require_customer = row.require_omniadmin = ask
