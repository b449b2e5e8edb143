"""A customer who watches: people, support sessions of both kinds, and what was written of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.db import db
from tests.browser import Browser
from tests.tickets.evidence import ACME
from tests.world import CONSOLE, REASON, World
from tickets.models import IMPERSONATION, TEMPORARY_ADMIN, AccessRequest, Activity

KINDS = (TEMPORARY_ADMIN, IMPERSONATION)
both_kinds = pytest.mark.parametrize("kind", KINDS)
BOSS, MIA = "boss@acme.example", "mia@acme.example"
Row = tuple[str, str, int]


@dataclass
class Watched:
    """Acme with an administrator and a member, and an omniadmin who is inside."""

    world: World
    ada: Browser
    request_id: int
    public_id: str

    def rows(self) -> list[Activity]:
        """What was written of this access, oldest first."""
        db.session.rollback()
        query = select(Activity).where(Activity.request_id == self.request_id).order_by(Activity.id)
        return list(db.session.scalars(query))

    def told(self) -> list[Row]:
        """The same, as method, path and status."""
        return [(row.method, row.path, row.status) for row in self.rows()]

    def last(self) -> Activity:
        """The newest row."""
        return self.rows()[-1]

    def counted(self) -> int:
        """How many requests the access itself says there were."""
        return self.world.request(self.request_id).activity_count

    @property
    def page(self) -> str:
        """The address of the record of this access."""
        return f"{ACME}/support-access/{self.public_id}"


def people(world: World) -> VirtualInstance:
    """Acme with an administrator and a member, and an omniadmin."""
    world.omniadmin()
    acme: VirtualInstance = world.instance("acme", "Acme Logistics")
    world.administrator(acme, BOSS)
    world.user(acme, MIA, full_name="Mia Lund")
    return acme


def enter(world: World, kind: str, *, subject: str = BOSS, duration: str = "3600") -> Watched:
    """Go inside: as a temporary administrator, or as somebody who says yes to it."""
    ada = world.signed_in()
    as_user = kind == IMPERSONATION
    request = see_as(world, ada, subject, duration) if as_user else world.enter(ada, duration=duration)
    watched = Watched(world, ada, request.id, request.public_id)
    assert watched.told() == [("GET", "/", 200)]
    return watched


def see_as(world: World, ada: Browser, subject: str, duration: str) -> AccessRequest:
    """Ask a user, have them say yes, start, confirm, enter."""
    form = f"{CONSOLE}/instances/acme/request-impersonation"
    ada.get(form)
    sent = {"email": subject, "reason": REASON, "duration": duration}
    assert ada.post(form, sent, follow=True).status_code == 200, ada.text
    page, public_id = ada.url, world.newest_request().public_id
    user = world.signed_in(subject, ACME)
    assert user.post(f"{ACME}/support-access/{public_id}/approve").status_code == 303
    ada.get(page)
    assert ada.post(f"{CONSOLE}/access/{public_id}/start", follow=True).status_code == 200
    assert ada.get(world.confirm(ada), follow=True).status_code == 200
    return world.newest_request()


def person(address: str) -> User:
    """A person's row."""
    db.session.rollback()
    return db.session.scalars(select(User).where(User.email == address)).one()


def all_rows() -> int:
    """How many rows of activity there are."""
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Activity)) or 0
