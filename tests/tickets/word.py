"""A directory that can be asked, fail and fall silent, and a removal that is stuck in it."""

from __future__ import annotations

from dataclasses import dataclass

from instances.connectors.base import Account, ConnectorError
from instances.directory import Acting
from tempadmin.accounts.models import User
from tempadmin.audit.log import SERVICE, Actor
from tempadmin.db import db
from tests.browser import Browser
from tests.tickets.directories import Moody, put_in
from tests.world import CONSOLE, World
from tickets.end import end_access
from tickets.expire import retry_due
from tickets.models import AccessRequest
from tickets.states import EndReason, State

WHY = "Deleted it in the directory's own console."


class Silent(Moody):
    """A moody directory that says of any account what it is told to; ``None``: it does not answer."""

    there: bool | None = True

    def exists(self, account: Account) -> bool:
        if self.there is None:
            raise ConnectorError("no answer in time")
        return self.there


@dataclass
class Stuck:
    """A request whose removal failed three times."""

    world: World
    directory: Silent
    ada: Browser
    id: int
    public_id: str

    @property
    def page(self) -> str:
        return f"{CONSOLE}/access/{self.public_id}"

    @property
    def request(self) -> AccessRequest:
        return self.world.request(self.id)

    @property
    def acting(self) -> Acting:
        user = db.session.get_one(User, self.request.requester_id)
        actor = Actor(id=user.id, name=user.full_name)
        return Acting(user_id=user.id, instance_id=user.instance_id, actor=actor, request_id=None)


def stuck(world: World) -> Stuck:
    """Have an omniadmin's access end in a directory that refuses, three times."""
    directory, ada = Silent(), world.signed_in()
    put_in(world.app, directory)
    request = world.ask(ada, "acme")
    found = Stuck(world, directory, ada, request.id, request.public_id)
    directory.remove_error = ConnectorError("the directory is down")
    end_access(request_id=request.id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)
    for _ in range(2):
        world.clock.advance(minutes=1)
        retry_due(world.runtime)
    assert (found.request.state, found.request.removal_failures) == (State.ENDING, 3)
    return found
