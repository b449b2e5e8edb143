"""User directories with bad days: they fail, they are slow, they do what nobody wants any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Event

from flask import Flask

from instances.connectors.base import Account, ConnectorError
from instances.connectors.local import LocalConnector
from instances.connectors.registry import connectors
from tempadmin.db import in_transaction

PATIENCE = 20  # seconds that a test waits for a condition


class Moody(LocalConnector):
    """The embedded directory; ``create_error`` and ``remove_error`` are raised while they are set."""

    create_error: ConnectorError | None = None
    remove_error: ConnectorError | None = None

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        if self.create_error is not None:
            raise self.create_error
        super().create(account, still_wanted=still_wanted)

    def remove_many(self, accounts: Sequence[Account]) -> Mapping[int, ConnectorError | None]:
        if self.remove_error is not None:
            return dict.fromkeys((account.user_id for account in accounts), self.remove_error)
        return super().remove_many(accounts)


class Counting(Moody):
    """A moody directory that counts how often it was asked to make an account."""

    creates = 0

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        self.creates += 1
        super().create(account, still_wanted=still_wanted)


class Outside(LocalConnector):
    """One that is never to be called inside a transaction, as directories elsewhere are not."""

    joins = False

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        assert not in_transaction()
        super().create(account, still_wanted=still_wanted)


class Slow(Outside):
    """One whose creates begin when they are let go."""

    def __init__(self) -> None:
        self.began, self.go = Event(), Event()

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        self.began.set()
        assert self.go.wait(PATIENCE)
        super().create(account, still_wanted=still_wanted)


class Faraway(Outside):
    """A directory elsewhere: a create takes effect when it gets there, wanted or not; each waits for its own event."""

    batch = 1

    def __init__(self, creates: int = 1) -> None:
        self.accounts: set[str] = set()
        self.began = [Event() for _ in range(creates)]
        self.go = [Event() for _ in range(creates)]
        self.calls = 0

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        still_wanted()
        number, self.calls = self.calls, self.calls + 1
        self.began[number].set()
        assert self.go[number].wait(PATIENCE)
        self.accounts.add(account.name)

    def exists(self, account: Account) -> bool:
        return account.name in self.accounts or super().exists(account)

    def remove(self, account: Account) -> None:
        self.accounts.discard(account.name)
        super().remove(account)


def put_in(app: Flask, directory: LocalConnector) -> None:
    """Let every instance use this directory."""
    connectors(app)["local"] = directory
