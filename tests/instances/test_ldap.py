"""LDAP behind the contract: what an entry looks like, when a real bind succeeds, and whose entry is never touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from instances.connectors.base import Account, ConnectorError, Found
from instances.models import VirtualInstance
from tempadmin.db import transaction
from tests.instances.conftest import MakeTemporary
from tests.instances.ldap_directory import Ldap
from tests.instances.ldap_server import ADMIN, READER, closing_ldap
from tests.world import World

# The directory is elsewhere: which database we have makes no difference to it.
pytestmark = [pytest.mark.only_sqlite, pytest.mark.ldap]

SECRET = "pKx7-mV4w-Rt9z-Hc3n-Yq6d"
SHADOW_ENTRY = "objectClass: inetOrgPerson\nobjectClass: shadowAccount\ncn: {name}\nsn: {name}"
POSIX_ENTRY = """
objectClass: account
objectClass: posixAccount
cn: {name}
uidNumber: 9{user_id}
gidNumber: 100
homeDirectory: /home/{name}
gecos: Support, {email}
"""
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
def ldap_of(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Callable[..., Ldap]:
    """Make a directory with other settings than the usual ones."""

    def make(**changes: Any) -> Ldap:
        return Ldap(world, birch, temporary, **changes)

    return make


@pytest.fixture
def directory(ldap_of: Callable[..., Ldap]) -> Ldap:
    return ldap_of()


def wanted() -> None:
    """The guard of a request that is still wanted."""


def made(directory: Ldap, request_id: int = 77) -> Account:
    account = directory.reserve(request_id)
    directory.connector.create(account, still_wanted=wanted)
    return account


def let_in(directory: Ldap, world: World, request_id: int = 77) -> Account:
    account = made(directory, request_id)
    until = world.clock.now() + timedelta(hours=1)
    directory.connector.activate(account, secret=SECRET, until=until, still_wanted=wanted)
    return account


def test_an_entry_is_made_as_the_template_says(ldap_of: Callable[..., Ldap]) -> None:
    """With name, number and e-mail filled in, our marker, and no password."""
    directory = ldap_of(entry=POSIX_ENTRY)
    account = made(directory)
    entry = directory.read(account.name) or {}
    assert entry["uidNumber"] == [f"9{account.user_id}".encode()]
    assert entry["gecos"] == [f"Support, {account.email}".encode()]
    assert entry["description"] == [account.marker.encode()]
    assert "userPassword" not in entry


def test_p12_the_server_hashes_the_password_and_nobody_binds_without_it(directory: Ldap, world: World) -> None:
    """It is set by the operation made for that (RFC 3062): the entry holds a salted hash."""
    account = let_in(directory, world)
    (stored,) = (directory.read(account.name) or {})["userPassword"]
    assert stored.startswith(b"{SSHA}")
    assert directory.lets_in(account, SECRET)
    assert not directory.lets_in(account, SECRET.lower())


def test_p1_with_a_password_policy_the_lock_itself_keeps_everybody_out(ldap_of: Callable[..., Ldap]) -> None:
    """Not even a right password opens it; at the end of the access the server shuts by itself."""
    directory = ldap_of(lock="pwdAccountLockedTime")
    account, never, past = made(directory), datetime(2099, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    directory.change(account.name, userPassword="set by somebody")  # which unlocks it, in OpenLDAP
    directory.change(account.name, pwdAccountLockedTime="000001010000Z")
    assert not directory.lets_in(account, "set by somebody")
    for until, let_in in ((never, True), (past, False), (never, True)):
        directory.connector.activate(account, secret=SECRET, until=until, still_wanted=wanted)
        assert directory.lets_in(account, SECRET) is let_in
    directory.connector.remove(account)
    assert directory.read(account.name) is None


@pytest.mark.parametrize(
    ("lock", "entry", "says"),
    [
        ("shadowExpire", SHADOW_ENTRY, (b"1", b"20780")),
        ("pwdAccountLockedTime", SHADOW_ENTRY, (b"000001010000Z", None)),
        ("nsAccountLock", "objectClass: extensibleObject\n" + SHADOW_ENTRY, (b"true", None)),
    ],
)
def test_p1_other_locks_are_set_until_the_activation_and_again_at_the_end(
    ldap_of: Callable[..., Ldap], world: World, lock: str, entry: str, says: tuple[bytes, bytes | None]
) -> None:
    """A machine's own sign-in looks there; where that knows days only, the last one counts whole."""
    (locked, opened), directory = says, ldap_of(lock=lock, entry=entry)
    account = made(directory)
    assert (directory.read(account.name) or {})[lock] == [locked]
    let = world.clock.now() + timedelta(hours=1)
    directory.connector.activate(account, secret=SECRET, until=let, still_wanted=wanted)
    assert (directory.read(account.name) or {}).get(lock) == (opened and [opened])
    directory.jam(account)
    with pytest.raises(ConnectorError, match="somebody made entries below it"):
        directory.connector.remove(account)
    entry_left = directory.read(account.name) or {}
    assert entry_left[lock] == [locked]
    assert "userPassword" not in entry_left


@pytest.mark.parametrize(
    ("kind", "attribute", "first"),
    [("groupOfUniqueNames", "uniqueMember", ADMIN), ("posixGroup", "memberUid", "somebody")],
)
def test_groups_of_other_kinds_have_their_members_too(
    ldap_of: Callable[..., Ldap], kind: str, attribute: str, first: str
) -> None:
    """Unique names, or names alone; in while the account is there, and out with it."""
    directory = ldap_of(member_attribute=attribute)
    group = directory.group_of(kind, attribute, first)
    account = made(directory)
    inside = account.name if attribute == "memberUid" else directory.dn(account.name)
    assert directory.members(group, attribute) == {first, inside}
    directory.connector.remove(account)
    assert directory.members(group, attribute) == {first}


def test_a_role_can_be_an_attribute_of_the_account(ldap_of: Callable[..., Ldap]) -> None:
    """Where no group makes an administrator; saying so twice does no harm."""
    directory = ldap_of(group_dn="", role_attribute="employeeType", role_value="admin")
    account = made(directory)
    directory.connector.create(account, still_wanted=wanted)
    assert (directory.read(account.name) or {})["employeeType"] == [b"admin"]
    directory.connector.remove(account)
    assert directory.read(account.name) is None


def test_p1_a_membership_goes_too_when_somebody_deleted_the_entry(directory: Ldap) -> None:
    """Most servers leave it, and whoever got that name again would be an administrator."""
    account = made(directory)
    with closing_ldap(directory.server.as_manager()) as manager:
        manager.delete_s(directory.dn(account.name))
    assert directory.dn(account.name) in directory.members()
    directory.connector.remove(account)
    assert directory.members() == {ADMIN}


def test_p11_a_group_that_keeps_its_last_member_does_not_keep_the_account(directory: Ldap) -> None:
    """The account goes; the removal says why it is not done, and is once the group lets go."""
    account = made(directory)
    with closing_ldap(directory.server.as_manager()) as manager:
        manager.modify_s(f"cn=admins,{directory.place}", [(1, "member", [ADMIN.encode()])])
    for _ in range(2):
        with pytest.raises(ConnectorError, match="cn=admins") as refused:
            directory.connector.remove(account)
        assert refused.value.setting == "group_dn"
        assert directory.read(account.name) is None
    with closing_ldap(directory.server.as_manager()) as manager:
        manager.modify_s(f"cn=admins,{directory.place}", [(0, "member", [ADMIN.encode()])])
    directory.connector.remove(account)
    assert directory.members() == {ADMIN}


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
    account = made(directory)
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


def test_p1_a_list_comes_page_by_page_or_not_at_all(ldap_of: Callable[..., Ldap]) -> None:
    """More than the server tells at once is still read whole; where it keeps some back, half a list is no list."""
    directory = ldap_of()
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
