"""LDAP behind the contract: what an entry looks like, when a real bind succeeds, and whose entry is never touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from instances.connectors.base import Account, ConnectorError
from tests.instances.ldap_directory import Ldap
from tests.instances.ldap_server import ADMIN, closing_ldap
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


@pytest.fixture
def directory(ldap_of: Callable[..., Ldap]) -> Ldap:
    return ldap_of()


def wanted() -> None:
    """The guard of a request that is still wanted."""


def made(directory: Ldap) -> Account:
    account = directory.reserve(77)
    directory.connector.create(account, still_wanted=wanted)
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
    account, until = made(directory), world.clock.now() + timedelta(hours=1)
    directory.connector.activate(account, secret=SECRET, until=until, still_wanted=wanted)
    (stored,) = (directory.read(account.name) or {})["userPassword"]
    assert stored.startswith(b"{SSHA}")
    assert directory.lets_in(account, SECRET)
    assert not directory.lets_in(account, SECRET.lower())


def test_p12_a_password_that_the_servers_policy_refuses_is_told_of_without_it(directory: Ldap, world: World) -> None:
    """Asking again will not help, nobody is let in, and no setting of ours is wrong."""
    account = made(directory)
    with pytest.raises(ConnectorError, match="Password fails quality checking policy") as refused:
        directory.connector.activate(account, secret="zebra", until=world.clock.now(), still_wanted=wanted)
    assert (refused.value.permanent, refused.value.setting) == (True, None)
    assert "zebra" not in str(refused.value)
    assert not directory.can_sign_in(account)


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


def test_p11_an_entry_that_somebody_moved_is_found_by_its_marker_and_leaves_its_group(directory: Ldap) -> None:
    """Its membership has moved with it; when the group does not let go, the removal says so, and is tried again."""
    account, elsewhere = made(directory), f"ou=elsewhere,{directory.place}"
    group, moved = f"cn=admins,{directory.place}", f"uid={account.name},{elsewhere}"
    with closing_ldap(directory.server.as_manager()) as manager:
        manager.add_s(elsewhere, [("objectClass", [b"organizationalUnit"])])
        manager.rename_s(directory.dn(account.name), f"uid={account.name}", elsewhere)
        manager.modify_s(group, [(2, "member", [moved.encode()])])
        assert directory.connector.exists(account)
        with pytest.raises(ConnectorError, match="cn=admins"):
            directory.connector.remove(account)
        assert manager.search_s(elsewhere, 1) == []
        manager.modify_s(group, [(2, "member", [ADMIN.encode()])])
    directory.connector.remove(account)
    assert not directory.connector.exists(account)
