"""A request one step before its redemption, and the rows that the redemption writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession
from tempadmin.accounts.sign_in import Client
from tempadmin.db import db
from tests.tickets.evidence import code_in
from tests.tickets.scenes import Scene
from tests.world import World
from tickets import codes
from tickets.hand_off import Kept, issue_code
from tickets.models import AccessRequest, Ticket
from tickets.redeem import redeem

CLIENT = Client(address="192.0.2.7", user_agent="A browser")
HOUR = timedelta(hours=1)


@dataclass
class Door:
    """A request before its redemption, with everything that it needs in hand."""

    scene: Scene
    kept: Kept
    code: str

    def enter(self, world: World, *, present: str | None = None, instance_id: int | None = None) -> str:
        return redeem(
            kept=self.kept,
            code=self.code,
            instance_id=self.scene.instance_id if instance_id is None else instance_id,
            present_session=present,
            client=CLIENT,
            runtime=world.runtime,
        ).secret


def open_door(world: World, scene: Scene, verifier: str = "v" * 43) -> Door:
    """Have the console put a code for this verifier on the ticket."""
    url = issue_code(
        public_id=scene.public_id,
        challenge=codes.challenge_of(verifier),
        user_id=scene.user_id,
        runtime=world.runtime,
    )
    kept = Kept(verifier=verifier, key=scene.login_key, until=world.clock.now() + HOUR)
    return Door(scene, kept, code_in(url))


def request_of(door: Door) -> AccessRequest:
    db.session.rollback()
    return db.session.get_one(AccessRequest, door.scene.request_id, populate_existing=True)


def instance_of(door: Door) -> VirtualInstance:
    db.session.rollback()
    return db.session.get_one(VirtualInstance, door.scene.instance_id)


def ticket_of(door: Door) -> Ticket:
    db.session.rollback()
    query = select(Ticket).where(Ticket.request_id == door.scene.request_id, Ticket.purpose == "login")
    return db.session.scalars(query).one()


def row_of(world: World, secret: str, door: Door) -> LoginSession:
    db.session.rollback()
    row = sessions.find(secret, instance_id=door.scene.instance_id, runtime=world.runtime)
    assert row is not None
    return row
