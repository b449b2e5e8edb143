"""A look at a SCIM server before it is used, and what makes an account an administrator's there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from instances.connectors.scim.connector import ScimConnector
from instances.connectors.scim.settings import ScimSettings
from instances.connectors.settings import checked
from instances.models import VirtualInstance
from tests.instances.conftest import MakeTemporary
from tests.instances.scim_directory import Scimmed, connect, settings_for
from tests.instances.scim_manners import finds_nobody, has_no_filter, ignores_filters, knows_nothing_of_itself
from tests.instances.scim_server import GROUP, Asked, Manner, Said, Serve, html
from tests.world import World

pytestmark = pytest.mark.only_sqlite


def wanted() -> None:
    """The guard of an access that goes on."""


@pytest.fixture
def scim(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Scimmed:
    return Scimmed(world, birch, temporary)


@pytest.fixture
def account(scim: Scimmed) -> Account:
    return scim.reserve(77)


@pytest.fixture
def look(world: World, scim: Scimmed, birch: VirtualInstance) -> Callable[..., list[str]]:
    """Probe by settings that are stored nowhere."""

    def steps(**changes: Any) -> list[str]:
        settings = checked(ScimSettings, settings_for(scim.product, **changes))
        with ScimConnector().open(settings, birch.id) as directory:
            return list(directory.probe())

    return steps


def test_the_connector_is_found_by_its_name(world: World) -> None:
    """An extra: its module is imported when an instance first uses it."""
    connector = connector_for("scim")
    assert isinstance(connector, ScimConnector)
    assert (connector.elsewhere, connector.entry, connector.settings) == (True, None, ScimSettings)


def test_a_probe_tells_each_step_and_changes_nothing(scim: Scimmed, look: Callable[..., list[str]]) -> None:
    """In words, for the command and the page."""
    assert look() == [
        f"{scim.product.url} answers",
        "users can be searched",
        f"the group '{GROUP}' is there (id {scim.product.group_id})",
        "our marker goes into externalId",
    ]
    assert {asked.query["attributes"] for asked in scim.product.asked if asked.path == "/Groups"} == {"displayName"}
    assert "an account gets the role 'admin'" in look(administrator_group=None, administrator_role="admin")
    assert set(scim.product.methods()) == {"GET"}


def no_patch(asked: Asked, serve: Serve) -> Said:
    said = serve(asked)
    return said.of({**said.json, "patch": {"supported": False}}) if "Config" in asked.path else said


@pytest.mark.parametrize(
    ("manner", "told"),
    [
        (ignores_filters, "searches of the server are no use, so each look reads all 2"),
        (has_no_filter, "searches of the server are no use, so each look reads all 2"),
        (finds_nobody, "searches of the server are no use, so each look reads all 2"),
        (knows_nothing_of_itself, "tells nothing of itself"),
    ],
)
def test_a_probe_tells_what_is_odd_and_can_be_lived_with(
    scim: Scimmed, look: Callable[..., list[str]], manner: Manner, told: str
) -> None:
    """A server without filters is slow with many users, and safe."""
    scim.add_stranger("anna")
    scim.add_stranger("bob")
    scim.product.manner = manner
    assert any(told in step for step in look())


@pytest.mark.parametrize(
    ("manner", "changes", "told"),
    [
        (no_patch, {}, ("url", "no PATCH")),
        (None, {"administrator_group": "Operators"}, ("administrator_group", "no group 'Operators'")),
        (None, {"token": "another"}, ("token", "does not take our credentials")),
        (lambda asked, serve: html(200), {}, ("url", "no JSON")),
        (lambda asked, serve: html(404), {}, ("url", "404")),
    ],
    ids=["no PATCH", "no group", "wrong token", "a page", "nothing there"],
)
def test_a_probe_names_the_setting_that_is_wrong(
    scim: Scimmed, look: Callable[..., list[str]], manner: Manner | None, changes: dict[str, Any], told: tuple[str, str]
) -> None:
    """With what came back."""
    scim.product.manner = manner or scim.product.manner
    with pytest.raises(ConnectorError) as refused:
        look(**changes)
    assert refused.value.setting == told[0], refused.value
    assert told[1] in str(refused.value)


def test_a_group_is_found_by_its_id_too_and_never_guessed(
    world: World, scim: Scimmed, account: Account, look: Callable[..., list[str]]
) -> None:
    """Of two groups of one name neither is taken; their ids tell them apart."""
    second = scim.product.put("Group", displayName=GROUP)
    scim.product.put("Group", displayName=GROUP.lower())
    with pytest.raises(ConnectorError, match="2 groups 'Administrators'; give the id") as refused:
        look()
    assert (refused.value.permanent, refused.value.setting) == (True, "administrator_group")
    assert look(administrator_group=second)[2] == f"the group '{second}' is there (id {second})"
    connect(world, account.instance_id, scim.product, administrator_group=scim.product.group_id)
    scim.connector.create(account, still_wanted=wanted)
    assert scim.is_administrator(account)


def test_a_role_makes_an_administrator_where_the_settings_say_so(world: World, scim: Scimmed, account: Account) -> None:
    """Beside whatever roles the server gives by itself, and once."""
    connect(world, account.instance_id, scim.product, administrator_group=None, administrator_role="admin")
    for _ in range(2):
        scim.connector.create(account, still_wanted=wanted)
        assert [role["value"] for role in scim.product.users()[account.name]["roles"]] == ["admin"]
    scim.connector.remove(account)
    assert scim.product.users() == {}


def test_a_role_that_is_not_kept_is_an_error_for_good(world: World, scim: Scimmed, account: Account) -> None:
    """The server drops what it does not know, and says nothing of it."""

    def drops_roles(asked: Asked, serve: Serve) -> Said:
        return Said(204) if b'"roles"' in asked.body else serve(asked)

    connect(world, account.instance_id, scim.product, administrator_group=None, administrator_role="admin")
    scim.product.manner = drops_roles
    with pytest.raises(ConnectorError) as refused:
        scim.connector.create(account, still_wanted=wanted)
    assert (refused.value.permanent, refused.value.setting) == (True, "administrator_role")


def test_p1_other_members_stay_when_ours_goes(world: World, scim: Scimmed, account: Account) -> None:
    """The membership that ends is named by its value: the group's other administrators keep theirs."""
    anna = scim.product.put("User", userName="anna", active=True)
    scim.product.change_group(members=[{"value": anna}, {"value": "of-a-user-deleted-long-ago"}])
    scim.connector.create(account, still_wanted=wanted)
    assert len(scim.product.members()) == 3
    scim.connector.remove(account)
    assert scim.product.members() == [anna, "of-a-user-deleted-long-ago"]


def test_p12_neither_token_nor_address_is_asked_of_another_instance(world: World, scim: Scimmed) -> None:
    """Each instance has its own connection; one without says so, and nothing is sent for it."""
    other = world.instance("elm")
    with pytest.raises(ConnectorError, match="no connection") as refused:
        list(scim.connector.listed(other.id))
    assert refused.value.permanent
    assert scim.product.methods() == []
