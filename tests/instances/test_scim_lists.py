"""Lists of SCIM servers that are wrong, on purpose or not: half of them, none of them, without end, not fit to keep."""

from __future__ import annotations

import itertools

import pytest

from instances.connectors.base import Account, ConnectorError
from instances.models import VirtualInstance
from tests.instances.conftest import MakeTemporary
from tests.instances.scim_directory import Scimmed
from tests.instances.scim_manners import caps_pages, without
from tests.instances.scim_server import Asked, Manner, Said, Serve
from tests.world import World

pytestmark = pytest.mark.only_sqlite


@pytest.fixture
def scim(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Scimmed:
    return Scimmed(world, birch, temporary)


@pytest.fixture
def account(scim: Scimmed) -> Account:
    return scim.reserve(77)


def promising(asked: Asked, serve: Serve) -> Said:
    """Nine, and none of them."""
    return Said(200).of({"Resources": [], "totalResults": 9}) if asked.path == "/Users" else serve(asked)


def standing_still(asked: Asked, serve: Serve) -> Said:
    """The first page again and again."""
    return caps_pages(without(asked, "startIndex"), serve)


@pytest.mark.parametrize("manner", [promising, standing_still])
def test_p1_half_a_list_is_no_list(scim: Scimmed, account: Account, manner: Manner) -> None:
    """Whoever is missing may be ours: neither is anything removed, nor called gone."""
    for name in ("anna", "bob", "zoe"):
        scim.add_stranger(name)
    scim.product.manner = manner
    for call in (lambda: list(scim.connector.listed(account.instance_id)), lambda: scim.connector.exists(account)):
        with pytest.raises(ConnectorError, match="not all of them"):
            call()


def test_s41_names_that_no_database_holds_are_told_in_others(scim: Scimmed, account: Account) -> None:
    """NUL and halves of characters are JSON; nobody's list, record or log may break by them."""
    odd = {"id": "7", "userName": "liferay_online\x00\ud800\n<b>", "externalId": "public77.\x00\ud800"}

    def manner(asked: Asked, serve: Serve) -> Said:
        if asked.path == "/Users/7":
            return Said(200).of(odd)
        return Said(200).of({"Resources": [odd], "totalResults": 1}) if asked.path == "/Users" else serve(asked)

    scim.product.manner = manner
    (found,) = scim.connector.listed(account.instance_id)
    assert (found.name, found.ours) == ("liferay_online\ufffd\ufffd\ufffd<b>", False)
    assert found.marker == "public77.\ufffd\ufffd"
    scim.connector.remove(account)


def test_a_server_without_end_is_left_and_costs_little(scim: Scimmed, account: Account) -> None:
    """Ever more users, each with a library in it: an error, and not the memory of this machine."""
    pages = itertools.count()

    def manner(asked: Asked, serve: Serve) -> Said:
        start = next(pages) * 5_000
        users = [{"id": str(start + at), "userName": f"u{start + at}", "title": "x" * 100} for at in range(5_000)]
        return Said(200).of({"Resources": users, "totalResults": 10**9}) if asked.path == "/Users" else serve(asked)

    scim.product.manner = manner
    with pytest.raises(ConnectorError, match="of 1000000000 Users, not all of them") as refused:
        list(scim.connector.listed(account.instance_id))
    assert not refused.value.permanent
    assert next(pages) < 30
