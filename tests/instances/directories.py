"""Directories for the connectors' contract: what a test does, and sees, behind a connector's back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from instances.connectors.base import Account, Connector
from instances.connectors.local import LocalConnector
from instances.models import VirtualInstance
from tempadmin.accounts.models import ADMINISTRATOR, TEMPORARY, SecondFactor, User
from tempadmin.db import db, transaction
from tests.instances.conftest import MakeTemporary
from tests.world import World


class Directory(Protocol):
    """A directory under test, and how a test looks into it behind the connector's back."""

    connector: Connector

    def reserve(self, request_id: int) -> Account:
        """Do what ``tickets`` does before it calls ``create``; return the account to be made."""
        ...

    def is_administrator(self, account: Account) -> bool:
        """Tell whether the account is there with an administrator's rights."""
        ...

    def can_sign_in(self, account: Account) -> bool:
        """Tell whether the account is enabled."""
        ...

    def turn_into_stranger(self, account: Account) -> None:
        """Make the account of this id one that is not ours."""
        ...

    def jam(self, account: Account) -> None:
        """Make this account impossible to delete."""
        ...


class Embedded:
    """Our own table."""

    def __init__(self, world: World, instance: VirtualInstance, temporary: MakeTemporary) -> None:
        self.connector: Connector = LocalConnector()
        self._world, self._instance, self._temporary = world, instance, temporary

    def reserve(self, request_id: int) -> Account:
        user = self._temporary(self._instance, request_id=request_id, role="member")
        return Account(
            instance_id=user.instance_id,
            user_id=user.id,
            request_id=request_id,
            name=user.screen_name or "",
            email=user.email,
        )

    def is_administrator(self, account: Account) -> bool:
        user = self._read(account)
        return user is not None and (user.role, user.kind) == (ADMINISTRATOR, TEMPORARY)

    def can_sign_in(self, account: Account) -> bool:
        user = self._read(account)
        return user is not None and user.active

    def turn_into_stranger(self, account: Account) -> None:
        with transaction():
            db.session.get_one(User, account.user_id).screen_name = account.name + "0"

    def jam(self, account: Account) -> None:
        row = SecondFactor(user_id=account.user_id, sealed_seed="x", last_step=0, created_at=self._world.clock.now())
        with transaction() as session:
            session.add(row)

    def _read(self, account: Account) -> User | None:
        db.session.rollback()
        return db.session.get(User, account.user_id)


DIRECTORIES: dict[str, Callable[[World, VirtualInstance, MakeTemporary], Directory]] = {"local": Embedded}
