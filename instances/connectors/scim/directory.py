"""A product's accounts through SCIM. Which account is ours is decided by what the server shows of it, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import structlog
from scim2_models import Email, Name, PatchOperation, User

from instances.connectors import marker
from instances.connectors.base import Account, ConnectorError, Found
from instances.connectors.remote import THERE_NO_MORE, Directory
from instances.connectors.scim.administrators import Administrators, administrators
from instances.connectors.scim.listing import Listing
from instances.connectors.scim.probing import steps
from instances.connectors.scim.protocol import Answer, Refused, Scim, quoted
from instances.connectors.scim.settings import ScimSettings
from tempadmin.runtime import current_runtime

CANNOT = frozenset({400, 405, 422, 501})
"""How servers refuse a change that they never make."""

CONFLICT = 409

log = structlog.get_logger()


class ScimDirectory(Directory):
    """One SCIM server, reached for one call."""

    def __init__(self, settings: ScimSettings, instance_id: int, scim: Scim) -> None:
        self._settings, self._instance_id, self._scim = settings, instance_id, scim
        self._listing = Listing(scim, attributes=("userName", settings.marker_attribute))
        self._seen: Sequence[Found] = ()
        self._made: set[str] = set()
        self._administrators: Administrators = administrators(settings, scim, self._listing)

    def find(self, account: Account) -> Sequence[Found]:
        """Return the entries by name and by marker; each is read by its id, for lists are late and leave things out.

        Whoever is listed that was not asked for shows that filters are ignored: then everybody was listed.
        """
        listed = self._listing.named(account.name)
        if account.marker and all(account.name in one["userName"].casefold() for one in listed):
            by_marker = f"{self._settings.marker_attribute} eq {quoted(account.marker)}"
            listed += self._listing.search(User, by_marker) or []
        wanted = self._made | {str(one["id"]) for one in listed if self._may_be(one, account)}
        self._seen = [found for entry_id in sorted(wanted) if (found := self._found(entry_id)) is not None]
        return self._seen

    def add(self, account: Account) -> None:
        """Make an inactive entry with its marker, unless the look before saw one: servers upsert silently."""
        if self._seen:
            names = ", ".join(repr(found.name[:80]) for found in self._seen)
            raise ConnectorError(f"the server has an account that is not ours already: {names}", permanent=True)
        try:
            answer = self._scim.add(_new_user(account, self._settings.marker_attribute))
        except ConnectorError as error:
            if any(found.ours for found in self.find(account)):  # it was made all the same, now or by a former try
                return
            if isinstance(error, Refused) and error.status == CONFLICT:
                why = f"the server has an account {account.name} already, and it is not ours: {error}"
                raise ConnectorError(why, permanent=True) from None
            raise
        entry_id = str(answer.get("id") or "")
        entry = self._scim.read(User, entry_id) if entry_id else None
        if entry is not None:
            self._refuse_unmarked(account, entry_id, entry)
            self._made.add(entry_id)

    def empower(self, account: Account, entry: Found) -> None:
        """Make an entry an administrator's, and see that nobody can use it yet."""
        user = self._scim.read(User, entry.id) or {}
        if user.get("active") is not False:
            self._activate(entry, active=False)
        self._administrators.take_in(entry.id)

    def enable(self, account: Account, entry: Found, *, secret: str | None, until: datetime) -> None:
        """Let somebody in by an entry; SCIM knows no time limit."""
        self._activate(entry, active=True, secret=secret)

    def disable(self, account: Account, entry: Found) -> None:
        """Let nobody in any more; what cannot be changed must not keep it from being deleted."""
        try:
            self._scim.change(User, entry.id, _active(value=False))
        except Refused as refused:
            if refused.status not in CANNOT | {404}:
                raise
        try:
            self._administrators.leave_out(entry.id)
        except ConnectorError as error:
            log.warning("scim.membership_kept", instance_id=self._instance_id, account=entry.name, why=str(error))

    def delete(self, account: Account, entry: Found) -> None:
        """Delete an entry."""
        self._scim.take_away(User, entry.id)

    def listed(self) -> Iterator[Found]:
        """Yield what carries our marker or begins with the reserved prefix; all users are read for that."""
        for one in self._listing.everything(User):
            found = self._as_found(str(one["id"]), one)
            if found.name.casefold().startswith(current_runtime().settings.user_prefix):
                again = self._found(found.id)
                if again is not None:
                    yield again
            elif found.ours:
                yield found

    def lets_in(self, account: Account, entry: Found) -> bool | None:
        """Tell whether an entry is active, where the server says that of one."""
        active = (self._scim.read(User, entry.id) or {}).get("active")
        return active if isinstance(active, bool) else None

    def probe(self) -> Iterator[str]:
        """Look at all that will be needed."""
        return steps(self._settings, self._scim, self._listing, self._administrators)

    def _may_be(self, one: Answer, account: Account) -> bool:
        """Tell whether a listed user may be the account: a filter's answer holds anybody."""
        request = account.marker.rpartition(".")[0]
        mark = one.get(self._settings.marker_attribute)
        by_mark = bool(request) and isinstance(mark, str) and mark.startswith(f"{request}.")
        return by_mark or one["userName"].casefold() == account.name.casefold()

    def _found(self, entry_id: str) -> Found | None:
        entry = self._scim.read(User, entry_id)
        return None if entry is None else self._as_found(entry_id, entry)

    def _as_found(self, entry_id: str, entry: Answer) -> Found:
        """Return what an entry is to us; ours has the name that was asked, though the server shows it in capitals.

        RFC 7643 gives user names no case, and servers differ: a stranger's capitals make another account of it.
        """
        name = _storable(str(entry.get("userName", "")))
        mark = entry.get(self._settings.marker_attribute)
        mark = _storable(mark) if isinstance(mark, str) else None
        for spelled in (name, name.casefold()):  # reserved names have no capitals
            keys = current_runtime().keys
            if marker.request_in(mark, instance_id=self._instance_id, name=spelled, keys=keys) is not None:
                return Found(id=entry_id, name=spelled, marker=mark, ours=True)
        return Found(id=entry_id, name=name, marker=mark, ours=False)

    def _refuse_unmarked(self, account: Account, entry_id: str, entry: Answer) -> None:
        """Take away at once what was made and could never be proven ours, or stands under another name."""
        found = self._as_found(entry_id, entry)
        if found.ours and found.name == account.name:
            return
        if found.marker == account.marker or found.name.casefold() == account.name:
            self._scim.take_away(User, entry_id)
        if found.marker != account.marker:
            attribute = self._settings.marker_attribute
            why = f"the server does not keep {attribute}, by which an account is proven ours; name another attribute"
            raise ConnectorError(why, permanent=True, setting="marker_attribute")
        raise ConnectorError(f"the server makes the account under another name: {found.name[:80]!r}", permanent=True)

    def _activate(self, entry: Found, *, active: bool, secret: str | None = None) -> None:
        changes = [_active(value=active)]
        if secret is not None:
            changes.append(PatchOperation[User[Any]](op=PatchOperation.Op.replace_, path="password", value=secret))
        try:
            self._scim.change(User, entry.id, *changes)
        except Refused as refused:
            if refused.status == 404:
                raise ConnectorError(THERE_NO_MORE, permanent=True) from None
            raise
        user = self._scim.read(User, entry.id) or {}
        if user.get("active") is not active:
            state = "active" if active else "inactive"
            raise ConnectorError(f"the server said that the account is {state} now, and it is not", setting="url")


def _storable(text: str) -> str:
    """Return a text that a database can hold: JSON may have NUL in it, and halves of characters."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _active(*, value: bool) -> PatchOperation[Any]:
    return PatchOperation[User[Any]](op=PatchOperation.Op.replace_, path="active", value=value)


def _new_user(account: Account, marker_attribute: str) -> User[Any]:
    """Return what is sent to make the account; its address is ours, whatever a validator thinks of its domain."""
    user = User[Any](
        user_name=account.name,
        display_name=account.name,
        name=Name(formatted=account.name, family_name=account.name),
        active=False,
    )
    user.emails = [Email.model_construct(value=account.email)]
    names = {"externalId": "external_id", "title": "title", "nickName": "nick_name", "userType": "user_type"}
    setattr(user, names[marker_attribute], account.marker)
    return user
