"""Somebody inside a customer's product: accounts by SCIM, its login by OpenID Connect, its mood under a test's hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ssl import SSLContext
from urllib.parse import urlsplit

from instances.connectors.registry import connector_for
from instances.models import VirtualInstance
from tempadmin.db import db
from tests.instances.products import Product as Server
from tests.instances.products import hanging, product, relaying
from tests.instances.scim_directory import connect
from tests.instances.scim_server import Product as Users
from tests.instances.scim_server import new_product
from tests.provider.listener import listening
from tests.provider.product import Product, registered_at
from tests.tickets.asked import change
from tests.tickets.scenes import Scene, bring, new_scene
from tests.world import World
from tickets.expire import retry_due
from tickets.models import AccessRequest
from tickets.states import State

PATIENCE = timedelta(seconds=2)
"""What a call may take: enough for a busy machine, where the product is well, and little to wait for where it hangs."""


@dataclass
class Behind:
    """One customer's product: the server that it is reached through, what it keeps, and who logs in there."""

    world: World
    server: Server
    users: Users
    login: Product

    @property
    def scene(self) -> Scene:
        return self.login.scene

    @property
    def request(self) -> AccessRequest:
        return self.world.request(self.scene.request_id)

    def heals(self) -> None:
        self.server.script = relaying(urlsplit(self.users.url).port or 0)

    def go_in(self) -> None:
        """Follow the one-time link; it leads on to the product."""
        browser = self.scene.browser(self.world)
        browser.get(self.scene.link, follow=True)
        self.scene.support = browser.cookie("tempadmin_session", self.scene.host) or ""
        assert self.request.state == State.ACTIVE, browser.text


@contextmanager
def behind_scim(
    world: World,
    until: State | None = State.READY,
    *,
    context: SSLContext | None = None,
    logout: str = "",
    ca_pem: str | None = None,
) -> Iterator[Behind]:
    """A customer whose product is well, and an access that has come so far."""
    connector_for("scim").timeout = PATIENCE
    scene, users = new_scene(world), new_product()
    with product(hanging, context=context) as server, listening() as listener:
        change(VirtualInstance, scene.instance_id, connector="scim")
        url = server.url.removesuffix("/scim") + urlsplit(users.url).path
        connect(world, scene.instance_id, users, url=url, ca_file=ca_pem)
        login = registered_at(world, scene, backchannel_logout_uri=logout or listener.uri)
        behind = Behind(world, server, users, login)
        behind.heals()
        if until is not None:
            bring(world, scene, until)
        yield behind


def go_on(world: World, **amount: float) -> None:
    world.clock.advance(**amount)
    db.session.rollback()
    retry_due(world.runtime)
    db.session.rollback()
