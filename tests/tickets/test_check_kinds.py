"""Connecting and checking with each kind of directory, over real servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from instances import connections
from instances.connecting import connect_instance
from instances.connectors.base import ConnectorError
from tempadmin.audit.log import SERVICE
from tempadmin.clock import SystemClock
from tempadmin.db import db
from tests.instances import ldap_server, postgresql_directory, scim_directory
from tests.instances.scim_server import new_product
from tests.tickets.scenes import Scene, new_scene
from tests.world import World
from tickets.check import check_instance
from tickets.leftovers import remove_due

pytestmark = pytest.mark.only_sqlite  # what happens in the directories does not depend on our database


def scim() -> dict[str, Any]:
    return scim_directory.settings_for(new_product())


def ldap() -> dict[str, Any]:
    ldap_server.need_ldap()
    return ldap_server.server().settings(ldap_server.server().new_place())


def postgresql() -> dict[str, Any]:
    settings = postgresql_directory.settings_of()
    assert settings.password is not None
    return {**settings.model_dump(), "password": settings.password.get_secret_value()}


KINDS: dict[str, tuple[Callable[[], dict[str, Any]], str, str]] = {
    "scim": (scim, "token", "the group"),
    "ldap": (ldap, "bind_password", "Signed in"),
    "postgresql": (postgresql, "password", "may make roles"),
}


def connect(world: World, scene: Scene, kind: str, values: dict[str, Any]) -> str:
    """Connect; return all steps in one text."""
    steps: list[str] = []
    facts: dict[str, Any] = {"actor": SERVICE, "runtime": world.runtime, "tell": steps.append}
    connect_instance(web_id=scene.web_id, connector=kind, values=values, **facts)
    return "\n".join(steps)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_tried_connected_and_walked_through(world: World, kind: str) -> None:
    """A wrong secret is named by its setting and repeated nowhere; the right one connects, and the whole way works."""
    values, secret, step = KINDS[kind]
    world.clock.time = SystemClock().now()  # the servers have the real time
    good, scene = values(), new_scene(world)
    with pytest.raises(ConnectorError) as refused:
        connect(world, scene, kind, {**good, secret: "wr0ng-s3cret"})
    assert (refused.value.setting, "wr0ng-s3cret" in str(refused.value)) == (secret, False)
    assert step.casefold() in connect(world, scene, kind, good).casefold()
    db.session.rollback()
    steps = list(check_instance(web_id=scene.web_id, runtime=world.runtime))
    assert [one for one in steps if one.error is not None] == []
    told = [one.what for one in steps]
    if kind == "scim":
        assert "let it in: read back as one that lets somebody in" in told
        assert told[-1].startswith("Accounts can be made")
    else:
        (entered,) = [what for what in told if what.startswith("get in by its password: ")]
        assert "liferay_online_0_" in entered
        assert told[-1] == "read back that it is gone"
    assert remove_due(world.runtime) == 0


WRONG: dict[str, dict[str, object]] = {
    "scim": {"url": "http://127.0.0.1:9/scim", "administrator_group": "Nobody's group", "token": "n0t-the-t0ken"},
    "ldap": {
        "url": "ldaps://127.0.0.1:9",
        "ca_file": "",
        "bind_password": "n0t-the-passw0rd",
        "base_dn": "ou=nowhere,dc=example,dc=org",
        "group_dn": "cn=nobody,dc=example,dc=org",
    },
    "postgresql": {
        "port": 9,
        "database": "no such database",
        "password": "n0t-the-passw0rd",
        "roles": ["no such role"],
        "reassign_to": "nobody",
    },
}
NAMED_INSTEAD = {("postgresql", "port"): "host"}


@pytest.mark.parametrize("kind", KINDS)
def test_p12_each_wrong_setting_is_named_with_what_came_back(world: World, kind: str) -> None:
    """One wrong at a time, over the real server: by its name, without any secret; and nothing is stored."""
    good, scene = KINDS[kind][0](), new_scene(world)
    named = {}
    for name, wrong in WRONG[kind].items():
        with pytest.raises(ConnectorError) as refused:
            connect(world, scene, kind, {**good, name: wrong})
        named[name] = refused.value.setting
        hidden = [value for value in (good[KINDS[kind][1]], wrong) if str(value) and name == KINDS[kind][1]]
        assert [one for one in hidden if str(one) in str(refused.value)] == []
    assert named == {name: NAMED_INSTEAD.get((kind, name), name) for name in WRONG[kind]}
    assert connections.stored(scene.instance_id) is None
