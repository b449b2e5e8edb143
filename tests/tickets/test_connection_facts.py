"""What on-demand access says on the page of a connection: the way in, the product, and what is still open."""

from __future__ import annotations

import pytest
from flask import current_app
from sqlalchemy import update

from instances.connectors.drill import DRILL
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tests.instances.cabinet import CABINET, put_up
from tests.tickets.scenes import Scene, bring, new_scene
from tests.world import World
from tickets.connection_page import facts
from tickets.provider import register
from tickets.states import State

pytestmark = pytest.mark.only_sqlite  # what a page shows does not depend on the database


def told(scene: Scene, connector: str | None = None) -> dict[str, str]:
    if connector is not None:
        with transaction() as session:
            session.execute(update(VirtualInstance).values(connector=connector))
    db.session.rollback()
    instance = db.session.get_one(VirtualInstance, scene.instance_id)
    with current_app.test_request_context("http://localhost:8000/"):
        return {fact.label: fact.text for fact in facts(instance)}


def test_the_way_in_is_said(world: World) -> None:
    """By the panel, by a password, by the product; or that nobody could get in, and what to do."""
    put_up(world.app)
    scene = new_scene(world)
    way_in = {"Entry": "by the one-time link, into its own control panel", "OpenID client": "Register the product"}
    assert told(scene) == way_in
    assert told(scene, CABINET)["Entry"] == "by a password that is shown once"
    assert told(scene, CABINET)["The whole way"] == f"is tried by: tempadmin instance check {scene.web_id}"
    assert told(scene, "scim")["Entry"].endswith(f"Register it with: tempadmin instance client {scene.web_id}")
    assert "cannot be used" in told(scene, "nonsense")["Entry"]
    product = register.Product(login_uri="https://product.example/in", redirect_uris=("https://product.example/cb",))
    facts = {"instance_id": scene.instance_id, "new_secret_too": False, "actor": SERVICE, "runtime": world.runtime}
    client = register.register(product=product, **facts)  # type: ignore[arg-type]
    said = told(scene, "scim")
    assert (said["Entry"], said["OpenID client"]) == ("by OpenID Connect, through its product", client.client_id)
    assert said["Its login"] == "https://product.example/in"
    assert said["Told of an end"].startswith("It is not told")


def test_what_keeps_its_place_is_said(world: World) -> None:
    """As the refusal to move it says."""
    scene = new_scene(world)
    assert "Still open" not in told(scene, DRILL)
    bring(world, scene, State.READY)
    assert told(scene)["Still open"] == "1 access that has not ended; until then its place cannot change"
