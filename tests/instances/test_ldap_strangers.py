"""Whose entry is never touched in an LDAP directory: names that are alike or a trick, lists that are halves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from instances.connectors.base import ConnectorError, Found
from tempadmin.db import transaction
from tests.instances.ldap_directory import Ldap
from tests.instances.ldap_server import ADMIN, READER, closing_ldap
from tests.world import World

pytestmark = [pytest.mark.only_sqlite, pytest.mark.ldap]

SECRET = "pKx7-mV4w-Rt9z-Hc3n-Yq6d"
HOSTILE_NAMES = (
    "*",
    "a)(uid=*",
    "a*)(|(objectClass=*",
    "a,ou=services,dc=example,dc=org",
    "a+description=theirs",
    "a\\2a",
    "#a",
    " a ",
    'a"b<c>;d=e',
    "ä\N{COMBINING ACUTE ACCENT}",
)


@pytest.fixture
def directory(ldap_of: Callable[..., Ldap]) -> Ldap:
    return ldap_of()


def wanted() -> None:
    """The guard of a request that is still wanted."""


def test_p1_a_stranger_whose_name_differs_only_in_case_is_left_alone(directory: Ldap) -> None:
    """LDAP takes it for the same name: nothing is made beside it, and its membership stays with it."""
    account = directory.reserve(77)
    stranger = account.name.upper()
    directory.put(stranger)
    with closing_ldap(directory.server.as_manager()) as manager:
        manager.modify_s(f"cn=admins,{directory.place}", [(0, "member", [directory.dn(stranger).encode()])])
    with pytest.raises(ConnectorError, match="not ours") as refused:
        directory.connector.create(account, still_wanted=wanted)
    assert refused.value.permanent
    directory.connector.remove(account)
    assert directory.read(stranger) is not None
    assert directory.dn(stranger) in directory.members()


def test_p1_what_changed_hands_after_we_looked_is_not_touched(directory: Ldap) -> None:
    """The server looks once more itself (RFC 4528): an entry that is not as we saw it is neither locked nor deleted."""
    account = directory.reserve(77)
    directory.connector.create(account, still_wanted=wanted)
    with directory.opened() as reached:
        (seen,) = reached.find(account)
        directory.turn_into_stranger(account)
        for act in (reached.disable, reached.delete):
            with pytest.raises(ConnectorError, match="changed meanwhile") as refused:
                act(account, seen)
            assert not refused.value.permanent
    assert directory.read(account.name) is not None


def test_p1_acting_on_what_is_gone_is_a_success_or_an_error_but_never_makes_anything(
    directory: Ldap, world: World
) -> None:
    """Locked and deleted is what it is; letting somebody in is refused for good."""
    account = directory.reserve(77)
    gone = Found(id=directory.dn(account.name), name=account.name, marker=account.marker, ours=True)
    with directory.opened() as reached:
        reached.disable(account, gone)
        reached.delete(account, gone)
        with pytest.raises(ConnectorError) as refused:
            reached.enable(account, gone, secret=SECRET, until=world.clock.now())
    assert refused.value.permanent
    assert SECRET not in str(refused.value)
    assert directory.read(account.name) is None


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_is_never_read_as_a_filter_or_a_place(directory: Ldap, name: str) -> None:
    """Whatever stands in it is one account's name: it is made there, found alone, and deleted alone."""
    directory.put("per")
    account = replace(directory.reserve(77), name=name, marker="x*)(uid=*.y")
    with directory.opened() as reached:
        assert list(reached.find(account)) == []
        reached.add(account)
        (found,) = reached.find(account)
        assert (found.name, found.marker) == (name, account.marker)
        reached.empower(account, found)
        reached.delete(account, found)
        assert list(reached.find(account)) == []
    assert directory.read("per") is not None
    assert directory.members() == {ADMIN}


def test_p1_a_list_comes_page_by_page_or_not_at_all(directory: Ldap) -> None:
    """More than the server tells at once is still read whole; where it keeps some back, half a list is no list."""
    for number in range(70):
        directory.put(f"liferay_online_9_{number}")
    instance_id = directory.reserve(77).instance_id
    assert len(list(directory.connector.listed(instance_id))) == 70
    directory.reconnect(bind_dn=READER)
    with pytest.raises(ConnectorError, match="does not tell all that it has") as refused:
        list(directory.connector.listed(instance_id))
    assert not refused.value.permanent


def test_design_2_a_directory_elsewhere_is_never_reached_inside_a_transaction(directory: Ldap) -> None:
    """A lock would be held for as long as a foreign server likes."""
    account = directory.reserve(77)
    with transaction(), pytest.raises(RuntimeError, match="inside a transaction"), directory.opened():
        pass
    assert directory.read(account.name) is None
