"""`tempadmin doctor` on connections: what is stored can be read, and what it is for is installed; nobody is asked."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from instances.connecting import connect_instance
from instances.connectors.drill import DRILL
from instances.doctor_connections import look
from instances.models import Connection, VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tempadmin.doctor.findings import Level
from tests.instances.cabinet import CABINET, GOOD, Cabinet, put_up
from tests.world import World

pytestmark = pytest.mark.only_sqlite  # the same reads as everywhere


@pytest.fixture
def cabinet(world: World, birch: VirtualInstance) -> Cabinet:
    cabinet = put_up(world.app)
    facts = {"connector": CABINET, "values": GOOD, "actor": SERVICE, "runtime": world.runtime, "tell": print}
    connect_instance(web_id="birch-health", **facts)  # type: ignore[arg-type]
    return cabinet


def said(world: World) -> list[tuple[Level, str]]:
    db.session.rollback()
    return [(finding.level, finding.message) for finding in look(world.runtime)]


def test_what_can_be_read_is_well_and_nobody_is_asked(world: World, cabinet: Cabinet) -> None:
    """Those that keep their accounts here are not counted, nor is one that was archived."""
    world.instance("cedar", connector=DRILL)
    world.instance("dune", connector="nonsense", archived_at=world.clock.now())
    opened = cabinet.opened
    message = "2 instances are connected to directories elsewhere, and their settings can be read"
    assert said(world) == [(Level.OK, message)]
    assert cabinet.opened == opened


def test_s36_each_connection_that_cannot_be_used_is_named(world: World, cabinet: Cabinet) -> None:
    """A connector that is not installed, settings that are missing, wrong, or that no key opens."""
    for web_id, connector in (("cedar", "nonsense"), ("dune", CABINET)):
        world.instance(web_id, connector=connector)
    for change, problem in (
        ({"settings": '{"url": "x"}'}, "url: is no https address; groups: is missing"),
        ({"settings": "[]"}, "its settings are not what was stored"),
        ({"settings": "{}", "sealed_secrets": "AAAA"}, "no configured secret key opens this value"),
    ):
        with transaction() as session:
            session.execute(update(Connection).values(**change))
        (birch, cedar, dune) = said(world)
        assert (birch[0], problem in birch[1]) == (Level.ERROR, True), birch
        assert cedar[1] == "cedar cannot reach its accounts: there is no connector 'nonsense'"
        assert "this instance has no connection" in dune[1]
