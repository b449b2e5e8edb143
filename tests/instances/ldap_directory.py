"""An LDAP directory under the connectors' contract: OpenLDAP, with a place of its own for each test."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from instances import connections
from instances.connectors.base import Account
from instances.connectors.registry import connector_for
from instances.connectors.remote import Directory as Reached
from instances.connectors.settings import ConnectorSettings, checked
from instances.models import Connection, VirtualInstance
from tempadmin.db import transaction
from tests.instances.conftest import MakeTemporary
from tests.instances.directories import Embedded
from tests.instances.ldap_server import binds, closing_ldap, need_ldap, server
from tests.world import World


class Ldap(Embedded):
    """Entries of a real slapd; another instance has another place in the same tree."""

    batch = 1

    def __init__(self, world: World, instance: VirtualInstance, temporary: MakeTemporary, **changes: Any) -> None:
        need_ldap()
        super().__init__(world, instance, temporary)
        self.connector = connector_for("ldap")
        self.server, self.place = server(), server().new_place()
        self._changes = changes
        self.reconnect()
        other = world.instance("alder-works")
        connect(world, other, self.server.settings(self.server.new_place(), **changes))

    def reconnect(self, **changes: Any) -> None:
        """Store other settings."""
        values = self.server.settings(self.place, **{**self._changes, **changes})
        self.settings = connect(self._world, self._instance, values)

    def opened(self) -> AbstractContextManager[Reached]:
        """Reach the directory as the connector does for one call."""
        connector: Any = self.connector
        reached: AbstractContextManager[Reached] = connector.open(self.settings, self._instance.id)
        return reached

    def dn(self, name: str) -> str:
        """Where an account of this name is."""
        return f"uid={name},{self.place}"

    def read(self, name: str) -> dict[str, list[bytes]] | None:
        """Return an entry as the manager sees it, operational attributes included."""
        import ldap

        with closing_ldap(self.server.as_manager()) as manager:
            try:
                ((_, values),) = manager.search_s(self.dn(name), ldap.SCOPE_BASE, attrlist=["*", "+"])
            except ldap.NO_SUCH_OBJECT:
                return None
        return dict(values)

    def group_of(self, kind: str, attribute: str, first: str) -> str:
        """Make the group of administrators anew, of another kind; return its name."""
        group = f"cn=admins,{self.place}"
        values = [("objectClass", [kind.encode()]), (attribute, [first.encode()])]
        with closing_ldap(self.server.as_manager()) as manager:
            manager.delete_s(group)
            manager.add_s(group, [*values, *([("gidNumber", [b"7"])] if kind == "posixGroup" else [])])
        return group

    def members(self, group: str = "", attribute: str = "member") -> set[str]:
        """Who is in the group of administrators."""
        import ldap

        with closing_ldap(self.server.as_manager()) as manager:
            ((_, values),) = manager.search_s(group or f"cn=admins,{self.place}", ldap.SCOPE_BASE)
        return {value.decode() for value in values[attribute]}

    def everything(self) -> list[Any]:
        """All that is in this place."""
        import ldap

        with closing_ldap(self.server.as_manager()) as manager:
            found: list[Any] = manager.search_s(self.place, ldap.SCOPE_SUBTREE, attrlist=["*", "+"])
        return sorted(found)

    def put(self, name: str, **attributes: str) -> None:
        """Add an entry as somebody else does."""
        values = {"cn": name, "sn": name, **attributes}
        entry = [("objectClass", [b"inetOrgPerson"]), *((key, [value.encode()]) for key, value in values.items())]
        with closing_ldap(self.server.as_manager()) as manager:
            manager.add_s(self.dn(name), entry)

    def change(self, name: str, **attributes: str | None) -> None:
        """Change an entry as somebody else does."""
        import ldap

        changes = [(ldap.MOD_REPLACE, key, value and [value.encode()]) for key, value in attributes.items()]
        with closing_ldap(self.server.as_manager()) as manager:
            manager.modify_s(self.dn(name), changes)

    def is_administrator(self, account: Account) -> bool:
        return self.read(account.name) is not None and self.dn(account.name) in self.members()

    def can_sign_in(self, account: Account) -> bool:
        return "userPassword" in (self.read(account.name) or {})

    def lets_in(self, account: Account, secret: str) -> bool:
        return binds(self.server, self.dn(account.name), secret)

    def makes_something(self, account: Account, secret: str) -> str | None:
        made = f"ou=made-by-{account.user_id},{self.place}"
        with closing_ldap(self.server.signed_in(self.dn(account.name), secret)) as theirs:
            theirs.add_s(made, [("objectClass", [b"organizationalUnit"])])
        return made

    def turn_into_stranger(self, account: Account) -> None:
        self.change(account.name, description="theirs")

    def add_stranger(self, name: str) -> None:
        self.put(name)

    def jam(self, account: Account) -> None:
        below = f"ou=below,{self.dn(account.name)}"
        with closing_ldap(self.server.as_manager()) as manager:
            manager.add_s(below, [("objectClass", [b"organizationalUnit"])])


def connect(world: World, instance: VirtualInstance, values: dict[str, Any]) -> ConnectorSettings:
    """Store an instance's connection, as ``tempadmin instance connect`` does."""
    settings = checked(connector_for("ldap").settings, values)  # type: ignore[attr-defined]
    with transaction() as session:
        row = session.get(Connection, instance.id) or Connection(instance_id=instance.id)
        row.changed_at = world.clock.now()
        connections.put(row, settings, runtime=world.runtime)
        session.add(row)
    return settings
