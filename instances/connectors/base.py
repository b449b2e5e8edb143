"""The contract between this service and a user directory.

Every call can be repeated without harm, none but the embedded one's is made inside a transaction (design §2), and none
acts on an account whose exact name was not compared first: directories answer searches with strangers. That an account
was made by us is proven by our record or our marker, never by its name alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


class Entry(StrEnum):
    """How a person gets in by the account that was made for them."""

    PANEL = "panel"
    """By the hand-off, into the instance's own control panel here."""
    CREDENTIAL = "credential"
    """By a password that is shown once."""
    OIDC = "oidc"
    """By OpenID Connect: the instance's product asks us who it is."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A temporary administrator as a directory sees it."""

    instance_id: int
    user_id: int
    """Primary key of the reserved ``User`` row; the ``b`` of the account's name."""
    request_id: int
    """The access request that it is made for; 0 where only the marker is known."""
    name: str
    email: str
    marker: str
    """What it carries in the directory (``marker.make``), set by the very call that makes it."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a directory has of ours, or of a name that is reserved for us."""

    id: str
    """The directory's own id, which need not be the one that was asked for."""
    name: str
    marker: str | None
    ours: bool
    """Whether our record or our marker proves that this service made it."""


class ConnectorError(Exception):
    """A directory did not do what it was asked.

    Parameters
    ----------
    message
        What was tried and what came back, for a person; it never holds a secret.
    permanent
        Asking again will not help.
    setting
        The connector's setting that is wrong, where that is known.
    """

    def __init__(self, message: str, *, permanent: bool = False, setting: str | None = None) -> None:
        super().__init__(message)
        self.permanent, self.setting = permanent, setting


class Connector(Protocol):
    """One kind of directory."""

    entry: Entry | None
    """How its accounts are entered where the instance has no OpenID client; ``None``: not at all."""
    elsewhere: bool
    """Whether the accounts are kept outside our own tables, so that only the directory itself can say what it has."""
    joins: bool
    """Whether its calls may be part of a transaction that is open: its directory is our own database, and nobody is
    waited for. No other's call is ever made inside one."""
    timeout: timedelta
    """How long one call may take; a create that was begun may take effect until twice this has passed."""

    batch: int
    """For how many accounts at most one ``remove_many`` is done within that time; 1: each is asked for alone."""

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        """Make the account: inactive, administrator, hidden, protected; look it up before.

        Parameters
        ----------
        account
            What to make. An account of this name that carries our marker is taken as made.
        still_wanted
            Raises ``Conflict`` when the request was ended meanwhile. A connector with transactions calls it inside
            its own, a remote one just before it sends.

        Raises
        ------
        ConnectorError
            When it could not be made, or an account of this name exists that is not ours.
        """
        ...

    def activate(
        self, account: Account, *, secret: str | None, until: datetime, still_wanted: Callable[[], None]
    ) -> None:
        """Let an account in that was made before; it is never made by this. Repeatable.

        Parameters
        ----------
        secret
            The password that it gets; ``None`` leaves whatever it has.
        until
            When the access ends at the latest; a directory that knows such a limit enforces it, too.
        still_wanted
            Raises ``Conflict`` when the access ended meanwhile; called just before it is let in.

        Raises
        ------
        ConnectorError
            When it is not known to be let in; permanently, when it is not there.
        """
        ...

    def made_by(self, account: Account) -> Sequence[str]:
        """Return what the account made there, in words, where the directory can tell; asked before the removal."""
        ...

    def sign_in_hint(self, account: Account) -> Mapping[str, str]:
        """Return where and how its user signs in, by label and without any secret; from settings, asking nobody.

        Raises
        ------
        ConnectorError
            When the settings cannot be read.
        """
        ...

    def exists(self, account: Account) -> bool:
        """Read back whether the account is there; the exact name counts."""
        ...

    def remove(self, account: Account) -> None:
        """Disable, end sessions, delete, read back as gone. An account that is gone is a success.

        Raises
        ------
        ConnectorError
            When it is not known to be gone.
        """
        ...

    def listed(self, instance_id: int) -> Iterator[Found]:
        """Yield what carries our marker or begins with the reserved prefix; read as a whole before it is judged.

        Raises
        ------
        ConnectorError
            When the directory does not answer, or not with all of it.
        """
        ...

    def remove_many(self, accounts: Sequence[Account]) -> Mapping[int, ConnectorError | None]:
        """Remove many accounts at once; return by user id why one is not known to be gone, or ``None``."""
        ...
