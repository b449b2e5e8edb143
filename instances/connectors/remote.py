"""What connectors of directories elsewhere have in common: they look before they act, and look again afterwards.

A directory elsewhere may answer an error and have done it, answer success and have done nothing, or have it twice. So
no answer of it is believed: what counts is what a look finds. A connector of one kind of directory is a handful of
calls; all caution is here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

from instances.connectors import marker
from instances.connectors.base import Account, ConnectorError, Found
from instances.connectors.local import LocalConnector, refuse_stranger
from tempadmin.runtime import current_runtime


class RemoteConnector(ABC):
    """A directory elsewhere. The account's reserved row is ours; it is made before and deleted after the other."""

    elsewhere = True
    timeout = timedelta(seconds=5)
    batch = 1

    def __init__(self) -> None:
        self._reserved = LocalConnector()

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
    def disable(self, account: Account, entry: Found) -> None:
        """Let nobody in by an entry any more, and end its sessions where the system can."""

    @abstractmethod
    def delete(self, account: Account, entry: Found) -> None:
        """Delete an entry by the directory's own id; one that is gone already is a success."""

    @abstractmethod
    def listed(self, instance_id: int) -> Iterator[Found]:
        """As ``Connector.listed``."""

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        """As ``Connector.create``: look, make, look again; whatever was made beside it goes at once."""
        self._reserved.create(account, still_wanted=still_wanted)
        if not self._ours(account):
            still_wanted()
            self.add(account)
        made = self._ours(account)
        first = next((entry for entry in made if entry.name == account.name), None)
        for entry in made:
            if first is None or entry.id != first.id:
                self._take_away(account, entry)
        if first is None:
            raise ConnectorError("the directory says that it made the account, and it is not there")
        self.empower(account, first)

    def exists(self, account: Account) -> bool:
        """Read back whether anything is there that is ours or has the exact name."""
        return bool(self._ours(account, refuse=False)) or self._reserved.exists(account)

    def remove(self, account: Account) -> None:
        """As ``Connector.remove``: every entry that is ours goes, whatever the directory calls it."""
        refuse_stranger(account)
        for entry in self._ours(account):
            self._take_away(account, entry)
        if self._ours(account):
            raise ConnectorError("the account is still there")
        self._reserved.remove(account)

    def remove_many(self, accounts: Sequence[Account]) -> Mapping[int, ConnectorError | None]:
        """Remove one after the other."""
        return {account.user_id: self._error_of_removing(account) for account in accounts}

    def _error_of_removing(self, account: Account) -> ConnectorError | None:
        try:
            self.remove(account)
        except ConnectorError as error:
            return error
        return None

    def _take_away(self, account: Account, entry: Found) -> None:
        self.disable(account, entry)
        self.delete(account, entry)

    def _ours(self, account: Account, *, refuse: bool = True) -> list[Found]:
        """Return the entries that our marker proves to be this account.

        A directory may have made it under a longer name than was asked; the marker then still names the one asked.

        Raises
        ------
        ConnectorError
            When an entry of the exact name is not ours, for good: it stays, and we say so.
        """
        keys = current_runtime().keys
        ours = []
        for entry in self.find(account):
            request = marker.request_in(entry.marker, instance_id=account.instance_id, name=account.name, keys=keys)
            if request is not None and account.marker.startswith(f"{request}.") and entry.name.startswith(account.name):
                ours.append(entry)
            elif entry.name == account.name and refuse:
                raise ConnectorError(f"the directory has an account {account.name} that is not ours", permanent=True)
        return ours
