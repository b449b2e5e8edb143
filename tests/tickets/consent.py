"""People and requests that wait for somebody's yes, on one database, for tests of answers."""

from __future__ import annotations

from datetime import timedelta

from instances.directory import Acting
from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.audit.log import Actor
from tempadmin.db import db
from tests.world import REASON, World
from tickets.asking import Asked
from tickets.impersonate import request_impersonation
from tickets.request import request_access

HOUR = timedelta(hours=1)
NAMES = {"acme": "Acme Logistics", "birch": "Birch Health"}


def customer(world: World, web_id: str = "acme", **policy: bool) -> VirtualInstance:
    """A customer that is asked, or not, with its administrator Rosa and its member Liam."""
    instance = world.instance(web_id, NAMES.get(web_id), **policy)
    world.user(instance, f"rosa@{web_id}.example", role="administrator", full_name="Rosa Vidal")
    world.user(instance, f"liam@{web_id}.example", full_name="Liam Byrne")
    return instance


def acting(user: User, *, request_id: int | None = None) -> Acting:
    """A person at work under their own name, or in the support session of a request."""
    actor = Actor(id=user.id, name=user.full_name)
    return Acting(user_id=user.id, instance_id=user.instance_id, actor=actor, request_id=request_id)


def person(address: str) -> User:
    """A person by their address, read again; the first where two instances know it."""
    db.session.rollback()
    return db.session.query(User).filter(User.email == address).order_by(User.id).first() or User()


def ask(world: World, address: str = "ada@operator.example", web_id: str = "acme") -> Asked:
    """Ask for admin access."""
    return request_access(
        requester_id=person(address).id,
        web_id=web_id,
        reason=REASON,
        external_ticket="HELP-1",
        duration=HOUR,
        runtime=world.runtime,
    )


def ask_user(world: World, subject: str, address: str = "ada@operator.example", web_id: str = "acme") -> Asked:
    """Ask a user to see the instance as they do."""
    return request_impersonation(
        requester_id=person(address).id,
        web_id=web_id,
        email=subject,
        reason=REASON,
        duration=HOUR,
        runtime=world.runtime,
    )
