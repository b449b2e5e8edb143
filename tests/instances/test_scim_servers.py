"""SCIM servers differ: the same account is made, entered and removed with each, and nobody else is touched."""

from __future__ import annotations

from datetime import timedelta

import pytest

from instances.connectors.base import Account
from instances.models import VirtualInstance
from tests.instances.conftest import MakeTemporary
from tests.instances.scim_directory import Scimmed
from tests.instances.scim_manners import (
    HARMLESS,
    caps_pages,
    finds_nobody,
    has_no_filter,
    ignores_filters,
    keeps_members,
    lists_late,
    names_members,
)
from tests.instances.scim_server import Asked, Manner, Said, Serve
from tests.world import World

pytestmark = pytest.mark.only_sqlite

PEOPLE = ("anna", "liferay_online", "Bob.Berg@birch.example", "liferay_online_1_10", "zoe")


def wanted() -> None:
    """The guard of an access that goes on."""


def _name(manner: Manner) -> str:
    return manner.__qualname__.partition(".")[0]


@pytest.fixture
def scim(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Scimmed:
    """A server with five people in it."""
    made = Scimmed(world, birch, temporary)
    for name in PEOPLE:
        made.add_stranger(name)
    return made


@pytest.mark.parametrize("manner", [*HARMLESS, names_members(), lists_late()], ids=_name)
def test_p1_an_account_lives_its_life_whatever_the_servers_manner(world: World, scim: Scimmed, manner: Manner) -> None:
    """Made twice and there once, inactive; let in; listed as ours; removed twice and gone; strangers are as before."""
    before, scim.product.manner = scim.product.users(), manner
    account = scim.reserve(77)
    for _ in range(2):
        scim.connector.create(account, still_wanted=wanted)
        assert scim.is_administrator(account)
        assert not scim.can_sign_in(account) or manner.__name__ == "cannot_deactivate"
    scim.connector.activate(account, secret=None, until=world.clock.now() + timedelta(hours=1), still_wanted=wanted)
    assert scim.can_sign_in(account)
    assert [one.name for one in scim.connector.listed(account.instance_id) if one.ours] == [account.name]
    assert scim.product.methods().count("POST") == 1
    for _ in range(2):
        scim.connector.remove(account)
        assert not scim.connector.exists(account)
    assert scim.product.users() == before
    assert (scim.product.members() == []) is (manner is not keeps_members)
    assert set(scim.product.methods()) == {"GET", "POST", "PATCH", "DELETE"}


@pytest.mark.parametrize("manner", [ignores_filters, has_no_filter, finds_nobody, caps_pages], ids=_name)
def test_p1_nobody_is_removed_in_place_of_an_account_that_is_gone(scim: Scimmed, manner: Manner) -> None:
    """A server that answers a search with everybody offers somebody to delete each time."""
    before, scim.product.manner = scim.product.users(), manner
    account: Account = scim.reserve(77)
    scim.connector.remove(account)
    assert scim.product.users() == before
    assert {"DELETE", "PATCH", "POST"}.isdisjoint(scim.product.methods())


def test_p1_nobody_slips_through_a_list_that_changes_while_it_is_read(scim: Scimmed) -> None:
    """Whoever is deleted on a page that was read moves all others up, one of them past the next page: begun anew."""
    account, gone = scim.reserve(77), ""
    for number in range(4):
        scim.add_stranger(f"liferay_online_9_{number}")

    def manner(asked: Asked, serve: Serve) -> Said:
        nonlocal gone
        if not gone and asked.query.get("startIndex") == "3":
            gone = min(scim.product.users().values(), key=lambda user: user["id"])["userName"]
            scim.product.drop(gone)
        return caps_pages(asked, serve)

    scim.product.manner = manner
    listed = {one.name for one in scim.connector.listed(account.instance_id)}
    assert gone
    assert listed == {name for name in scim.product.users() if name.startswith("liferay_online")}
