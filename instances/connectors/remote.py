"""What connectors of directories elsewhere have in common: they look before they act, and look again afterwards.

A directory elsewhere may answer an error and have done it, answer success and have done nothing, or have it twice. So
no answer of it is believed: what counts is what a look finds. A connector of one kind of directory is a handful of
calls; all caution is here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any

from instances import connections
from instances.connectors import marker, patience
from instances.connectors.base import Account, ConnectorError, Entry, Found
from instances.connectors.local import LocalConnector, refuse_stranger
from instances.connectors.settings import ConnectorSettings
from tempadmin.runtime import current_runtime

THERE_NO_MORE = "the account is not there any more"


class Directory(ABC):
    """One directory elsewhere, reached for one call of the contract. Each method is one step; none believes another."""

    @abstractmethod
    def find(self, account: Account) -> Sequence[Found]:
        """Return every entry that has the account's name or its marker; strangers in the answer do no harm."""

    @abstractmethod
    def add(self, account: Account) -> None:
        """Make an entry with name and marker in one call, inactive."""

    @abstractmethod
    def empower(self, account: Account, entry: Found) -> None:
        """Give an entry the administrator's rights; it may have them already."""

    @abstractmethod
    def enable(self, account: Account, entry: Found, *, secret: str | None, until: datetime) -> None:
        """Let somebody in by an entry, until then where the directory knows such a limit; with this password."""

    @abstractmethod
    def disable(self, account: Account, entry: Found) -> None:
        """Let nobody in by an entry any more, and end its sessions where the system can."""

    @abstractmethod
    def delete(self, account: Account, entry: Found) -> None:
        """Delete an entry by the directory's own id; one that is gone already is a success."""

    def clear(self, account: Account) -> None:
        """Take away what still speaks of an account that has no entry any more, such as a membership; repeatable."""
        return

    @abstractmethod
    def listed(self) -> Iterator[Found]:
        """Yield what carries our marker or begins with the reserved prefix, all of it, or raise."""

    def made_by(self, account: Account, entry: Found) -> Sequence[str]:
        """Return what an entry made there, in words; nothing where the directory cannot tell."""
        return ()

    def lets_in(self, account: Account, entry: Found) -> bool | None:
        """Tell whether somebody could get in by an entry now; ``None`` where the directory cannot tell."""
        return None

    def try_entry(self, account: Account, secret: str) -> Iterator[str]:
        """Get in by a password as a person would, and out again; yield how, or nothing where that cannot be tried.

        Raises
        ------
        ConnectorError
            When nobody gets in by it.
        """
        yield from ()

    def probe(self) -> Iterator[str]:
        """Look at everything that the connector will need, changing nothing; yield each step that went well.

        Raises
        ------
        ConnectorError
            At the first that did not: what was tried, what came back, and by which setting.
        """
        yield from ()


class RemoteConnector(ABC):
    """A directory elsewhere. The account's reserved row is ours; it is made before and deleted after the other."""

    entry: Entry | None = None
    elsewhere = True
    joins = False
    timeout = timedelta(seconds=5)
    batch = 1
    settings: type[ConnectorSettings] | None = None
    """What an instance has to tell of its directory; ``None``: nothing."""

    def __init__(self) -> None:
        self._reserved = LocalConnector()

    @abstractmethod
    def reach(self, instance_id: int) -> AbstractContextManager[Directory]:
        """Reach the directory of an instance by its stored settings.

        Raises
        ------
        ConnectorError
            When there are none, or it does not answer.
        """

    def open(self, settings: Any, instance_id: int) -> AbstractContextManager[Directory]:
        """Reach a directory by settings of this connector that need not be stored; raises as ``reach``.

        Whoever has settings says how; without any there is one directory for each instance.
        """
        return self.reach(instance_id)

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        """As ``Connector.create``."""
        self._reserved.create(account, still_wanted=still_wanted)
        with self.reached(account.instance_id) as directory:
            make(directory, account, still_wanted=still_wanted)

    def activate(
        self, account: Account, *, secret: str | None, until: datetime, still_wanted: Callable[[], None]
    ) -> None:
        """As ``Connector.activate``."""
        with self.reached(account.instance_id) as directory:
            entry = entry_of(directory, account)
            still_wanted()
            directory.enable(account, entry, secret=secret, until=until)

    def made_by(self, account: Account) -> Sequence[str]:
        """As ``Connector.made_by``."""
        with self.reached(account.instance_id) as directory:
            return [made for entry in _ours(directory, account) for made in directory.made_by(account, entry)]

    def sign_in_hint(self, account: Account) -> Mapping[str, str]:
        """As ``Connector.sign_in_hint``; nothing, where a connector does not know better."""
        return {}

    def exists(self, account: Account) -> bool:
        """Read back whether anything is there that is ours or has the exact name."""
        with self.reached(account.instance_id) as directory:
            there = bool(_ours(directory, account, refuse=False))
        return there or self._reserved.exists(account)

    def remove(self, account: Account) -> None:
        """As ``Connector.remove``: every entry that is ours goes, whatever the directory calls it."""
        refuse_stranger(account)
        with self.reached(account.instance_id) as directory:
            for entry in _ours(directory, account):
                _take_away(directory, account, entry)
            if _ours(directory, account):
                raise ConnectorError("the account is still there")
            directory.clear(account)
        self._reserved.remove(account)

    def remove_many(self, accounts: Sequence[Account]) -> Mapping[int, ConnectorError | None]:
        """Remove one after the other."""
        return {account.user_id: self._error_of_removing(account) for account in accounts}

    def listed(self, instance_id: int) -> Iterator[Found]:
        """As ``Connector.listed``."""
        with self.reached(instance_id) as directory:
            yield from directory.listed()

    @contextmanager
    def reached(self, instance_id: int) -> Iterator[Directory]:
        """Reach a directory; whatever it answers, no error repeats a stored secret (P12)."""
        patience.require()
        try:
            with self.reach(instance_id) as directory:
                yield directory
        except ConnectorError as error:
            raise connections.without_secrets(error, instance_id) from None

    def _error_of_removing(self, account: Account) -> ConnectorError | None:
        try:
            self.remove(account)
        except ConnectorError as error:
            return error
        return None


def make(directory: Directory, account: Account, *, still_wanted: Callable[[], None]) -> None:
    """Look, make, look again, give it its rights; whatever was made beside it goes at once."""
    if not _ours(directory, account):
        still_wanted()
        directory.add(account)
    made = _ours(directory, account)
    first = next((entry for entry in made if entry.name == account.name), None)
    for entry in made:
        if first is None or entry.id != first.id:
            _take_away(directory, account, entry)
    if first is None:
        raise ConnectorError("the directory says that it made the account, and it is not there")
    directory.empower(account, first)


def _take_away(directory: Directory, account: Account, entry: Found) -> None:
    directory.disable(account, entry)
    directory.delete(account, entry)


def entry_of(directory: Directory, account: Account) -> Found:
    """Return the one entry that is an account's.

    Raises
    ------
    ConnectorError
        When it is not there, permanently; or one of its name is not ours.
    """
    entry = next((one for one in _ours(directory, account) if one.name == account.name), None)
    if entry is None:
        raise ConnectorError(THERE_NO_MORE, permanent=True)
    return entry


def _ours(directory: Directory, account: Account, *, refuse: bool = True) -> list[Found]:
    """Return the entries that our marker proves to be this account.

    A directory may have made it under a longer name than was asked; the marker then still names the one asked.

    Raises
    ------
    ConnectorError
        When an entry of the exact name is not ours, for good: it stays, and we say so.
    """
    keys = current_runtime().keys
    ours = []
    for entry in directory.find(account):
        request = marker.request_in(entry.marker, instance_id=account.instance_id, name=account.name, keys=keys)
        if request is not None and account.marker.startswith(f"{request}.") and entry.name.startswith(account.name):
            ours.append(entry)
        elif entry.name == account.name and refuse:
            raise ConnectorError(f"the directory has an account {account.name} that is not ours", permanent=True)
    return ours
