"""Directories for the connectors' contract: what a test does, and sees, behind a connector's back.

A new kind of connector has a file ``<kind>_directory.py`` beside this one, with a class that begins with ``Drilled``
(for ``reserve``, and our own row beside each account) and answers for its own system; and a line in ``DIRECTORIES``.
Then ``test_connector_contract.py`` and ``test_activation_contract.py`` run over it. Its server is started once in a
test process and serves all tests, so each directory made here begins empty, or under a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol

from sqlalchemy import select, update

from instances.connectors import marker
from instances.connectors.base import Account, Connector, ConnectorError, Found
from instances.connectors.drill import DrillConnector
from instances.connectors.local import BATCH, LocalConnector
from instances.connectors.remote import Directory as Reached
from instances.models import DrillAccount, VirtualInstance
from tempadmin.accounts.models import ADMINISTRATOR, TEMPORARY, SecondFactor, User
from tempadmin.db import db, transaction
from tests.instances.conftest import MakeTemporary
from tests.world import World


class Directory(Protocol):
    """A directory under test, and how a test looks into it behind the connector's back."""

    connector: Connector
    batch: int
    """How many accounts it removes at once."""

    def reserve(self, request_id: int) -> Account:
        """Do what ``tickets`` does before it calls ``create``; return the account to be made."""
        ...

    def is_administrator(self, account: Account) -> bool:
        """Tell whether the account is there with an administrator's rights."""
        ...

    def can_sign_in(self, account: Account) -> bool:
        """Tell whether the account is enabled."""
        ...

    def lets_in(self, account: Account, secret: str) -> bool:
        """Tell whether somebody gets in by the account now; where there are passwords: really, with this one."""
        ...

    def makes_something(self, account: Account, secret: str) -> str | None:
        """Let an account that is enabled make something there; return what ``made_by`` must name, or ``None``.

        ``None`` where the directory cannot tell who made what.
        """
        ...

    def turn_into_stranger(self, account: Account) -> None:
        """Make the account of this id one that is not ours."""
        ...

    def add_stranger(self, name: str) -> None:
        """Add an account of this name that somebody else made."""
        ...

    def jam(self, account: Account) -> None:
        """Make this account impossible to delete."""
        ...


class Embedded:
    """Our own table."""

    connector: Connector
    batch = BATCH

    def __init__(self, world: World, instance: VirtualInstance, temporary: MakeTemporary) -> None:
        self.connector = LocalConnector()
        self._world, self._instance, self._temporary = world, instance, temporary

    def reserve(self, request_id: int) -> Account:
        user = self._temporary(self._instance, request_id=request_id, role="member")
        name, keys = user.screen_name or "", self._world.runtime.keys
        return Account(
            instance_id=user.instance_id,
            user_id=user.id,
            request_id=request_id,
            name=name,
            email=user.email,
            marker=marker.make(request=f"public{request_id}", instance_id=user.instance_id, name=name, keys=keys),
        )

    def is_administrator(self, account: Account) -> bool:
        user = self._read(account)
        return user is not None and (user.role, user.kind) == (ADMINISTRATOR, TEMPORARY)

    def can_sign_in(self, account: Account) -> bool:
        user = self._read(account)
        return user is not None and user.active

    def lets_in(self, account: Account, secret: str) -> bool:
        return self.can_sign_in(account)

    def makes_something(self, account: Account, secret: str) -> str | None:
        return None

    def turn_into_stranger(self, account: Account) -> None:
        with transaction():
            db.session.get_one(User, account.user_id).screen_name = account.name + "0"

    def add_stranger(self, name: str) -> None:
        with transaction() as session:
            session.add(
                User(
                    instance_id=self._instance.id,
                    email=f"{name}@birch.example",
                    full_name="A stranger",
                    created_at=self._world.clock.now(),
                )
            )

    def jam(self, account: Account) -> None:
        row = SecondFactor(user_id=account.user_id, sealed_seed="x", last_step=0, created_at=self._world.clock.now())
        with transaction() as session:
            session.add(row)

    def _read(self, account: Account) -> User | None:
        db.session.rollback()
        return db.session.get(User, account.user_id)


class Stiff(DrillConnector):
    """The drill directory; it does not delete what is ``jammed``."""

    def __init__(self) -> None:
        super().__init__()
        self.jammed: set[str] = set()

    @contextmanager
    def reach(self, instance_id: int) -> Iterator[Reached]:
        with super().reach(instance_id) as directory:
            delete = directory.delete

            def unless_jammed(account: Account, entry: Found) -> None:
                if account.name in self.jammed:
                    raise ConnectorError("it does not go")
                delete(account, entry)

            directory.delete = unless_jammed  # type: ignore[method-assign]
            yield directory


class Drilled(Embedded):
    """The drill directory, healthy; our own row of each account stands beside its entry."""

    batch = 1

    def __init__(self, world: World, instance: VirtualInstance, temporary: MakeTemporary) -> None:
        super().__init__(world, instance, temporary)
        self._stiff = Stiff()
        self.connector = self._stiff

    def jam(self, account: Account) -> None:
        self._stiff.jammed.add(account.name)

    def is_administrator(self, account: Account) -> bool:
        entry = self._entry(account)
        return entry is not None and entry.administrator

    def can_sign_in(self, account: Account) -> bool:
        entry = self._entry(account)
        return entry is not None and entry.active

    def turn_into_stranger(self, account: Account) -> None:
        with transaction() as session:
            session.execute(update(DrillAccount).where(DrillAccount.name == account.name).values(marker="theirs"))

    def add_stranger(self, name: str) -> None:
        self.add(name, marker=None)

    def add(self, name: str, *, marker: str | None) -> None:
        """Add an entry as somebody else does."""
        now = self._world.clock.now()
        with transaction() as session:
            session.add(DrillAccount(instance_id=self._instance.id, name=name, marker=marker, created_at=now))

    def _entry(self, account: Account) -> DrillAccount | None:
        db.session.rollback()
        return db.session.scalars(select(DrillAccount).where(DrillAccount.name == account.name)).first()


Make = Callable[[World, VirtualInstance, MakeTemporary], Directory]


def _in(file: str, name: str) -> Make:
    """Make the directory of a file beside this one, which imports this one."""

    def make(world: World, instance: VirtualInstance, temporary: MakeTemporary) -> Directory:
        kind: Make = getattr(import_module(f"tests.instances.{file}"), name)
        return kind(world, instance, temporary)

    return make


EMBEDDED = "local"
DIRECTORIES: dict[str, Make] = {
    EMBEDDED: Embedded,
    "drill": Drilled,
    "ldap": _in("ldap_directory", "Ldap"),
    "postgresql": _in("postgresql_directory", "Roles"),
    "scim": _in("scim_directory", "Scimmed"),
}
