"""A connection changes while accesses are open: what may change, what may not, and what is tried again by it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from instances.connecting import connect_instance
from instances.connectors.drill import Fault
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tempadmin.errors import Conflict
from tests.instances.cabinet import CABINET, GOOD, Cabinet, put_up
from tests.tickets.asked import change
from tests.tickets.faraway import has_fault, there
from tests.tickets.locks import overlap
from tests.tickets.scenes import Scene, bring, new_scene
from tests.world import REASON, World
from tickets.check import check_instance
from tickets.end import end_access
from tickets.expire import retry_due
from tickets.leftover_model import Leftover
from tickets.models import AccessRequest
from tickets.removal import deprovision
from tickets.request import request_access
from tickets.states import EndReason, State

NEW = "n3w token"


@pytest.fixture
def cabinet(world: World) -> Cabinet:
    return put_up(world.app)


@pytest.fixture
def scene(world: World, cabinet: Cabinet) -> Scene:
    """An omniadmin, and an instance that is connected to a cabinet."""
    scene = new_scene(world)
    connect(world, scene)
    return scene


def connect(world: World, scene: Scene, connector: str = CABINET, *, same: bool = False, **changes: Any) -> None:
    values = {**GOOD, **changes} if connector == CABINET else changes
    facts: dict[str, Any] = {"actor": SERVICE, "runtime": world.runtime, "tell": lambda _step: None}
    facts["same_directory"] = same
    connect_instance(web_id=scene.web_id, connector=connector, values=values, **facts)


def stuck(world: World, scene: Scene, cabinet: Cabinet) -> AccessRequest:
    """An access is over, and its account stays: the token is not the right one any more."""
    bring(world, scene, State.ACTIVE)
    cabinet.token = NEW
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=SERVICE, runtime=world.runtime)
    for _try in range(8):
        world.clock.advance(hours=2)
        deprovision(request_id=scene.request_id, runtime=world.runtime)
    return world.request(scene.request_id)


def test_p1_no_place_changes_while_an_account_may_be_there(world: World, scene: Scene, cabinet: Cabinet) -> None:
    """Neither the connector nor the address, from the request to the end; all else may."""
    bring(world, scene, State.READY)
    places: tuple[dict[str, Any], ...] = ({"connector": "local"}, {"url": "https://elsewhere.example"})
    for change_of_place in places:
        with pytest.raises(Conflict, match="1 access that has not ended"):
            connect(world, scene, **change_of_place)
    connect(world, scene, drawer=84, groups=["keepers"])
    end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)
    deprovision(request_id=scene.request_id, runtime=world.runtime)
    assert (world.request(scene.request_id).state, there(world)) == (State.ENDED, [])
    connect(world, scene, url="https://elsewhere.example")
    connect(world, scene, "local")


def test_the_same_directory_may_get_another_address(world: World, scene: Scene, cabinet: Cabinet) -> None:
    """On somebody's word, which is on record; what waits there goes on at once. Another connector is another place."""
    request = stuck(world, scene, cabinet)
    with pytest.raises(Conflict):
        connect(world, scene, "local", same=True)
    connect(world, scene, same=True, url="https://renamed.example", token=NEW)
    retry_due(world.runtime)
    assert (world.request(request.id).state, there(world)) == (State.ENDED, [])
    connect(world, scene, token=NEW, url="https://renamed.example")
    events = select(AuditEvent.details).where(AuditEvent.event == "instance.connected").order_by(AuditEvent.id)
    words = [json.loads(details).get("said_to_be_the_same") for details in db.session.scalars(events)]
    assert words == [None, True, None]


def test_p1_a_leftover_keeps_the_place_too(world: World, scene: Scene) -> None:
    """What must go and is not known to be gone would never be found elsewhere."""
    now = world.clock.now()
    row = Leftover(instance_id=scene.instance_id, connector=CABINET, account_name="liferay_online_1_9", found_at=now)
    row.account_email, row.marker, row.user_id, row.request_id, row.why, row.next_attempt_at = (
        "",
        "m",
        9,
        0,
        "late",
        now,
    )
    with db.session.begin():
        db.session.add(row)
    with pytest.raises(Conflict, match=r"now: 1 leftover account\."):
        connect(world, scene, "local")


def test_p11_a_rotated_token_has_failed_removals_tried_at_once(world: World, scene: Scene, cabinet: Cabinet) -> None:
    """They wait for an hour by then; the change makes them due, and the job removes them."""
    request = stuck(world, scene, cabinet)
    assert request.state == State.ENDING
    assert request.next_attempt_at is not None
    assert (request.next_attempt_at - world.clock.now()).total_seconds() > 600
    assert there(world) != []
    connect(world, scene, token=NEW)
    retry_due(world.runtime)
    assert (world.request(scene.request_id).state, there(world)) == (State.ENDED, [])


def test_p12_no_error_of_a_removal_repeats_a_secret(world: World, scene: Scene, cabinet: Cabinet) -> None:
    """What stands on the request's page and in its events is without the token, though the directory repeats it."""
    request = stuck(world, scene, cabinet)
    assert request.last_error is not None
    assert "401" in request.last_error
    assert GOOD["token"] not in request.last_error


def test_a_change_that_came_first_is_not_overwritten(world: World, scene: Scene, cabinet: Cabinet) -> None:
    """Two people change a connection at once: the second is told, and the first one's token is kept."""

    def rival(_step: str) -> None:
        cabinet.token = NEW
        connect(world, scene, token=NEW)

    facts: dict[str, Any] = {"actor": SERVICE, "runtime": world.runtime, "tell": rival}
    values = {name: value for name, value in GOOD.items() if name != "token"}
    with pytest.raises(Conflict, match="a moment ago"):
        connect_instance(web_id=scene.web_id, connector=CABINET, values=values, **facts)
    connect(world, scene, token=NEW)


@pytest.mark.parametrize("first", ["request", "change"])
def test_p1_a_request_and_a_change_see_each_other(world: World, scene: Scene, first: str) -> None:
    """Whichever is later knows of the other: no account is asked for at a place that is not looked at any more."""

    def ask() -> str:
        facts: dict[str, Any] = {"reason": REASON, "external_ticket": None, "duration": timedelta(hours=1)}
        request_access(requester_id=scene.user_id, web_id=scene.web_id, runtime=world.runtime, **facts)
        return "asked"

    def move() -> str:
        try:
            connect(world, scene, "local")
        except Conflict:
            return "refused"
        return "moved"

    at, calls, outcome = {
        "request": ("access.requested", (ask, move), ("asked", "refused", CABINET, CABINET)),
        "change": ("instance.connected", (move, ask), ("moved", "asked", "local", "local")),
    }[first]
    db.session.rollback()
    said = overlap((world, calls[0]), (world, calls[1]), at=at)
    asked_of = db.session.scalars(select(AccessRequest.connector)).one()
    connector = db.session.scalars(select(VirtualInstance.connector).filter_by(id=scene.instance_id)).one()
    assert (*said, asked_of, connector) == outcome


@pytest.mark.only_postgresql  # on SQLite the cabinet's own writes wait, too, and the check reads afterwards
def test_p1_a_check_and_a_change_see_each_other(world: World, scene: Scene) -> None:
    """No throw-away account is noted for a place that is not looked at any more."""

    def check() -> str:
        try:
            return "checked" if all(one.error is None for one in check_instance(**facts)) else "failed"
        except Conflict as error:
            return error.message

    def move() -> str:
        connect(world, scene, "local")
        return "moved"

    facts: dict[str, Any] = {"web_id": scene.web_id, "runtime": world.runtime}
    db.session.rollback()
    said = overlap((world, move), (world, check), at="instance.connected")
    assert said == ("moved", "The connection was changed meanwhile.")
    assert (there(world), db.session.scalars(select(Leftover)).all()) == ([], [])


def test_an_outage_does_not_keep_a_place(world: World, scene: Scene) -> None:
    """With nothing open, an instance leaves a directory that does not answer."""
    has_fault(world, scene, Fault.REFUSES)
    connect(world, scene, "local")
    change(VirtualInstance, scene.instance_id, connector=CABINET)
    connect(world, scene, "local")
