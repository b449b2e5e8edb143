"""Products as clients, their logins and logouts, and the keys that sign for them, killed at each step."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

from sqlalchemy import delete, select

from instances.connectors.base import Entry
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tests.failpoints.stage import Cast, Prepare, brought, killed
from tests.provider.listener import listening
from tests.provider.product import Product, registered_at
from tests.tickets.asked import change
from tests.world import World
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.provider import keys, register
from tickets.provider.models import OidcClient, OidcKey
from tickets.states import EndReason, State

OPEN_UNTIL_THE_END = ExitStack()


def inside(*, listens: bool = False) -> Prepare:
    """Somebody is inside an instance whose product is registered."""

    def prepare(world: World) -> Cast:
        cast = brought(State.ACTIVE, connector="local")(world)
        there = {"backchannel_logout_uri": OPEN_UNTIL_THE_END.enter_context(listening()).uri} if listens else {}
        cast.held["product"] = registered_at(world, cast.scene, **there)
        change(AccessRequest, cast.scene.request_id, entry=Entry.OIDC)
        return cast

    return prepare


def no_key_yet(world: World) -> Cast:
    """The very first product is about to be registered."""
    cast = brought()(world)
    with transaction() as session:
        session.execute(delete(OidcKey))
    return cast


@killed(no_key_yet, one_by_one=True)
def registering_the_first_product(world: World, cast: Cast) -> None:
    registered_at(world, cast.scene)


def a_product_without_accesses(world: World) -> Cast:
    cast = brought()(world)
    registered_at(world, cast.scene)
    return cast


@killed(a_product_without_accesses)
def removing_a_client(world: World, cast: Cast) -> None:
    register.remove(instance_id=cast.scene.instance_id, actor=SERVICE, runtime=world.runtime)


@killed(inside())
def logging_in_at_a_product(world: World, cast: Cast) -> None:
    product: Product = cast.held["product"]
    assert "id_token" in product.tokens()


def somebody_logged_in(world: World) -> Cast:
    """A product has let somebody in, and wants to be told of the end."""
    cast = inside(listens=True)(world)
    cast.held["product"].tokens()
    return cast


@killed(somebody_logged_in)
def telling_a_product_of_the_end(world: World, cast: Cast) -> None:
    end_access(request_id=cast.scene.request_id, reason=EndReason.LOGOUT, actor=cast.scene.actor, runtime=world.runtime)


def no_key_waits(world: World) -> Cast:
    """One key, which signs."""
    cast = a_product_without_accesses(world)
    with transaction() as session:
        session.execute(delete(OidcKey).where(OidcKey.signs_from > world.clock.now()))
    return cast


@killed(no_key_waits, one_by_one=True)
def rotating_the_keys(world: World, cast: Cast) -> None:
    keys.rotate(actor=SERVICE, runtime=world.runtime)


def an_old_key(world: World) -> Cast:
    """A key that signs no more, and whose last token is over."""
    cast = no_key_waits(world)
    keys.rotate(actor=SERVICE, runtime=world.runtime)
    with transaction() as session:
        newest = session.scalars(select(OidcKey).order_by(OidcKey.id.desc()).limit(1)).one()
        newest.signs_from = world.clock.now() - timedelta(days=1)
        for older in session.scalars(select(OidcKey).where(OidcKey.id < newest.id)):
            older.signs_from = min(older.signs_from, newest.signs_from - timedelta(days=1))
    assert db.session.scalar(select(OidcClient.id).limit(1)) is not None
    return cast


@killed(an_old_key, one_by_one=True)
def taking_old_keys_back(world: World, cast: Cast) -> None:
    keys.see_to(world.runtime)
