"""A product behind SCIM, as the connectors' contract sees it."""

from __future__ import annotations

from typing import Any, Protocol

from instances import connections
from instances.connectors.base import Account
from instances.connectors.scim.connector import ScimConnector
from instances.connectors.scim.settings import ScimSettings
from instances.connectors.settings import checked
from instances.models import Connection, VirtualInstance
from tempadmin.db import transaction
from tests.instances.conftest import MakeTemporary
from tests.instances.directories import Embedded
from tests.instances.scim_server import GROUP, TOKEN, Asked, Said, Serve, html, new_product
from tests.world import World


class Served(Protocol):
    """A product's SCIM server."""

    url: str


def settings_for(product: Served, **changes: Any) -> dict[str, Any]:
    """The settings of a connection to a product."""
    return {"url": product.url, "token": TOKEN, "administrator_group": GROUP, **changes}


def connect(world: World, instance_id: int, product: Served, **changes: Any) -> None:
    """Store the connection of an instance to a product."""
    with transaction() as session:
        row = session.get(Connection, instance_id) or Connection(instance_id=instance_id)
        row.changed_at = world.clock.now()
        connections.put(row, checked(ScimSettings, settings_for(product, **changes)), runtime=world.runtime)
        session.add(row)


class Scimmed(Embedded):
    """scim2-server; a second instance has a product of its own."""

    batch = 1

    def __init__(self, world: World, instance: VirtualInstance, temporary: MakeTemporary) -> None:
        super().__init__(world, instance, temporary)
        self.connector, self.product = ScimConnector(), new_product()
        self.jammed: set[str] = set()
        self.product.manner = self._manner
        connect(world, instance.id, self.product)
        connect(world, world.instance("next-door").id, new_product())

    def is_administrator(self, account: Account) -> bool:
        user = self.product.users().get(account.name)
        return user is not None and user["id"] in self.product.members()

    def can_sign_in(self, account: Account) -> bool:
        user = self.product.users().get(account.name)
        return user is not None and user["active"] is True

    def turn_into_stranger(self, account: Account) -> None:
        self.product.change(account.name, externalId="theirs")

    def add_stranger(self, name: str) -> None:
        self.product.put("User", userName=name, active=True)

    def jam(self, account: Account) -> None:
        self.jammed.add(self.product.users()[account.name]["id"])

    def _manner(self, asked: Asked, serve: Serve) -> Said:
        if asked.method == "DELETE" and asked.path.rpartition("/")[2] in self.jammed:
            return html(500)
        return serve(asked)
