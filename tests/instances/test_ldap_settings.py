"""What is wrong with the settings of an LDAP connection is named, before anything is made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from instances.connectors.base import ConnectorError
from instances.connectors.registry import connector_for, connectors
from instances.connectors.settings import WrongSettings, checked, is_place
from tests.instances.ldap_directory import Ldap
from tests.instances.ldap_server import READER, SUFFIX, need_ldap
from tests.world import World

pytestmark = [pytest.mark.only_sqlite, pytest.mark.ldap]

GOOD = {
    "url": "ldaps://ldap.example.org",
    "bind_dn": "cn=tempadmin,dc=example,dc=org",
    "bind_password": "a secret word",
    "base_dn": "ou=people,dc=example,dc=org",
    "group_dn": "cn=admins,dc=example,dc=org",
}
WRONG: dict[str, list[Any]] = {
    "url": ["", "ldap.example.org", "http://ldap.example.org", "ldapi:///", "ldaps://", "ldaps://h/dc=example??sub"],
    "bind_dn": ["", "tempadmin", "cn=a,,dc=b"],
    "bind_password": ["", 7],
    "base_dn": ["", "people", "ou=people;drop"],
    "ca_file": ["no certificate"],
    "name_attribute": ["mail"],
    "marker_attribute": ["de scription", "a)(b", "descr\niption"],
    "member_attribute": ["owner"],
    "lock": ["sometimes"],
    "entry": [
        "cn: {name}",
        "objectClass inetOrgPerson",
        "objectClass: inetOrgPerson\nsn:",
        "objectClass: inetOrgPerson\nuserPassword: {SSHA}x",
        "objectClass: inetOrgPerson\ncn: {password}",
        "objectClass: inetOrgPerson\ncn: {name",
        "objectClass: inetOrgPerson\ncn;lang-de: {name}",
        "objectClass: inetOrgPerson\ndescription: mine",
    ],
    "role_value": ["admin"],
    "role_attribute": ["employeeType"],
    "nothing_like_it": ["x"],
}


def kind() -> Any:
    need_ldap()
    connector: Any = connector_for("ldap")
    return connector.settings


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_nonsense_is_refused_by_name(world: World, name: str, value: Any) -> None:
    """Each field says what is wrong with it; a value that may be secret is not repeated."""
    with pytest.raises(WrongSettings) as refused:
        checked(kind(), {**GOOD, name: value})
    named = {"role_value": "role_attribute", "role_attribute": "role_value"}.get(name, name)
    assert set(refused.value.problems) == {named}
    assert "a secret word" not in str(refused.value)


def test_what_is_left_empty_in_a_form_has_its_default(world: World) -> None:
    """Also where only some values are allowed; the usual ports are known, and one of two rights has to be there."""
    empty = dict.fromkeys(("name_attribute", "member_attribute", "lock", "entry", "marker_attribute", "ca_file"), " ")
    settings = checked(kind(), {**GOOD, **empty})
    assert settings == checked(kind(), GOOD)
    assert (settings.host, settings.port, settings.starts_tls) == ("ldap.example.org", 636, False)
    other = checked(kind(), {**GOOD, "url": "ldap://[::1]"})
    assert (other.host, other.port, other.starts_tls) == ("::1", 389, True)
    with pytest.raises(WrongSettings, match="group_dn: give the administrators' group"):
        checked(kind(), {**GOOD, "group_dn": ""})


def test_what_says_where_accounts_and_memberships_are_stays_while_there_are_any(world: World) -> None:
    """Who moved one of these would look for them in the wrong place; all else can change at any time."""
    fixed = {name for name in kind().model_fields if is_place(kind(), name)}
    places = {"url", "base_dn", "name_attribute", "marker_attribute", "group_dn", "member_attribute"}
    assert fixed == places


def test_a_look_around_says_each_step_and_changes_nothing(ldap_of: Callable[..., Ldap]) -> None:
    """Connected, signed in, a place for accounts, a complete entry, a group; the tree is as it was."""
    directory = ldap_of()
    before = directory.everything()
    with directory.opened() as reached:
        steps = list(reached.probe())
    assert [step.partition(" ")[0] for step in steps] == ["connected", "signed", "accounts", "an", "administrators"]
    assert directory.everything() == before


POSIX = "objectClass: account\nobjectClass: posixAccount\ncn: {name}\nuidNumber: 1\ngidNumber: 1\nhomeDirectory: /"


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("bind_password", {"bind_password": "another"}),
        ("bind_password", {"bind_dn": f"cn=nobody,{SUFFIX}"}),
        ("base_dn", {"base_dn": f"ou=nowhere,{SUFFIX}"}),
        ("base_dn", {"base_dn": "dc=elsewhere,dc=org"}),
        ("group_dn", {"group_dn": f"cn=nobody,{SUFFIX}"}),
        ("member_attribute", {"member_attribute": "memberUid"}),
        ("role_attribute", {"role_attribute": "homeDirectory", "role_value": "x"}),
        ("marker_attribute", {"marker_attribute": "serialNumber"}),
        ("marker_attribute", {"marker_attribute": "loginShell", "entry": POSIX}),
        ("lock", {"lock": "shadowExpire"}),
        ("entry", {"entry": "objectClass: inetOrgPerson\ncn: {name}"}),
        ("entry", {"entry": "objectClass: inetOrgPerson\ncn: {name}\nsn: {name}\nuidNumber: 7"}),
        ("entry", {"entry": "objectClass: person\ncn: {name}\nsn: {name}"}),
        ("entry", {"entry": "objectClass: account\nobjectClass: wizard"}),
    ],
)
def test_a_look_around_names_the_setting_that_is_wrong(
    ldap_of: Callable[..., Ldap], setting: str, changes: dict[str, Any]
) -> None:
    """By the server's answers and its schema, before the first account is made."""
    directory = ldap_of(**changes)
    with pytest.raises(ConnectorError) as refused, directory.opened() as reached:
        list(reached.probe())
    assert (refused.value.permanent, refused.value.setting) == (True, setting)


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("bind_dn", {"bind_dn": READER}),
        ("entry", {"entry": "objectClass: inetOrgPerson\ncn: {name}"}),
        ("group_dn", {"group_dn": f"cn=nobody,{SUFFIX}"}),
        ("base_dn", {"base_dn": f"ou=nowhere,{SUFFIX}"}),
    ],
)
def test_a_create_that_cannot_succeed_says_by_which_setting(
    ldap_of: Callable[..., Ldap], setting: str, changes: dict[str, Any]
) -> None:
    """It is for good, so that nobody waits for a second try; and what was made of it can be removed."""
    directory = ldap_of(**changes)
    account = directory.reserve(77)
    with pytest.raises(ConnectorError) as refused:
        directory.connector.create(account, still_wanted=lambda: None)
    assert (refused.value.permanent, refused.value.setting) == (True, setting)
    directory.reconnect(bind_dn=directory.server.settings("")["bind_dn"], base_dn=directory.place)
    directory.connector.remove(account)
    assert directory.read(account.name) is None


def test_without_its_library_the_connector_says_what_to_install(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra that an installation may lack."""
    for name in [name for name in sys.modules if name.startswith("instances.connectors.ldap_directory")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ldap", None)
    connectors(world.app).pop("ldap", None)
    with pytest.raises(ConnectorError, match=r"pip install 'tempadmin\[ldap\]'") as refused:
        connector_for("ldap")
    assert refused.value.permanent
