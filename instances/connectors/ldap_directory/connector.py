"""Accounts as entries of an LDAP directory: locked and without a password but while somebody is let in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from ldap.filter import escape_filter_chars as literal
from pydantic import SecretStr

from instances import connections
from instances.connectors import marker
from instances.connectors.base import Account, ConnectorError, Entry, Found
from instances.connectors.ldap_directory import looking
from instances.connectors.ldap_directory.session import Session, signed_in
from instances.connectors.ldap_directory.settings import PASSWORD, LdapSettings
from instances.connectors.remote import THERE_NO_MORE, Directory, RemoteConnector, entry_of
from tempadmin.db import in_transaction
from tempadmin.runtime import current_runtime

NOTHING = ["1.1"]
TOLD = 20


class LdapConnector(RemoteConnector):
    """Makes and removes accounts in an LDAP directory."""

    entry = Entry.CREDENTIAL
    settings = LdapSettings

    @contextmanager
    def reach(self, instance_id: int) -> Iterator[Directory]:
        """As ``RemoteConnector.reach``."""
        with self.open(connections.read(instance_id, LdapSettings), instance_id) as directory:
            yield directory

    @contextmanager
    def open(self, settings: LdapSettings, instance_id: int) -> Iterator[Directory]:
        """Sign in by settings that need not be stored; all that is done in it has ``timeout`` together."""
        if in_transaction():
            raise RuntimeError("a directory elsewhere is never called inside a transaction (design §2)")
        with signed_in(settings, timeout=self.timeout) as session:
            yield LdapDirectory(session, settings, instance_id)

    def sign_in_hint(self, account: Account) -> Mapping[str, str]:
        """As ``Connector.sign_in_hint``: where people sign in, if the settings say it, and the entry that they are."""
        settings = connections.read(account.instance_id, LdapSettings)
        place = {"Sign in at": settings.sign_in_at} if settings.sign_in_at else {}
        return {**place, "Entry": settings.dn_of(account)}


class LdapDirectory(Directory):
    """A directory that was signed in to; ``Found.id`` is an entry's distinguished name."""

    def __init__(self, session: Session, settings: LdapSettings, instance_id: int) -> None:
        self._session, self._settings, self._instance_id = session, settings, instance_id

    def find(self, account: Account) -> Sequence[Found]:
        """Search by name, and by the request in the marker; LDAP does not tell upper from lower case, we do."""
        request = account.marker.rpartition(".")[0]
        name, mark = self._settings.name_attribute, self._settings.marker_attribute
        return list(self._found(f"(|({name}={literal(account.name)})({mark}={literal(request)}.*))", account.name))

    def add(self, account: Account) -> None:
        """Add an entry: with name and marker, locked, without a password. What is there already is looked at again."""
        dn = self._settings.dn_of(account)
        if self._session.add(dn, self._settings.filled(account)):
            return
        if not any(entry.name == account.name for entry in self.find(account)):
            raise ConnectorError(f"the directory has an entry {dn} that is not ours", permanent=True)

    def empower(self, account: Account, entry: Found) -> None:
        """Put an entry into the group, or give it the role, or both."""
        settings = self._settings
        if settings.group_dn:
            member = self._member(entry.id, entry.name)
            self._session.include(settings.group_dn, settings.member_attribute, member, setting="group_dn")
        if settings.role_attribute:
            self._session.include(entry.id, settings.role_attribute, settings.role_value, setting="role_attribute")

    def enable(self, account: Account, entry: Found, *, secret: str | None, until: datetime) -> None:
        """Have the server set the password, then unlock."""
        if secret is not None:
            self._session.set_password(entry.id, secret)
        changes = self._settings.lock.unlocked(until)
        if changes and not self._session.replace(entry.id, changes, only_if=self._as_seen(entry), setting="lock"):
            raise ConnectorError(THERE_NO_MORE, permanent=True)

    def disable(self, account: Account, entry: Found) -> None:
        """Lock an entry and take its password away, in one step; who has signed in stays so until they disconnect."""
        changes = self._settings.lock.locked() | {PASSWORD: []}
        self._session.replace(entry.id, changes, only_if=self._as_seen(entry), setting="lock")

    def delete(self, account: Account, entry: Found) -> None:
        """Delete an entry, and its membership; a group that keeps it does not keep the entry."""
        kept = None
        try:
            self._leave_group(entry.id, entry.name)
        except ConnectorError as error:
            kept = error
        self._session.delete(entry.id, only_if=self._as_seen(entry))
        if kept is not None:
            raise kept

    def clear(self, account: Account) -> None:
        """Take out of the group who is not there any more: not every server does, and the name may come back."""
        if self._settings.group_dn and not self._there(account):
            self._leave_group(self._settings.dn_of(account), account.name)

    def listed(self) -> Iterator[Found]:
        """Yield what carries our marker or begins with the reserved prefix."""
        prefix = current_runtime().settings.user_prefix
        name, mark = self._settings.name_attribute, self._settings.marker_attribute
        for found in self._found(f"(|({name}={literal(prefix)}*)({mark}=*.*))", None):
            if found.ours or found.name.lower().startswith(prefix.lower()):
                yield found

    def made_by(self, account: Account, entry: Found) -> Sequence[str]:
        """Return the entries that an entry made, wherever in the tree."""
        top = looking.top_of(self._session, self._settings)
        made = self._session.search(top, f"(creatorsName={literal(entry.id)})", NOTHING)
        names = sorted(dn for dn, _ in made)
        more = [f"and {len(names) - TOLD} more entries"] if len(names) > TOLD else []
        return [f"entry {dn}" for dn in names[:TOLD]] + more

    def try_entry(self, account: Account, secret: str) -> Iterator[str]:
        """Sign in as the entry itself, over a connection of its own."""
        dn = entry_of(self, account).id
        itself = {"bind_dn": dn, "bind_password": SecretStr(secret)}
        try:
            with signed_in(self._settings.model_copy(update=itself), timeout=LdapConnector.timeout):
                pass
        except ConnectorError as error:
            raise ConnectorError(str(error), permanent=error.permanent, setting="entry") from None
        yield f"signed in as {dn}"

    def probe(self) -> Iterator[str]:
        """As ``Directory.probe``."""
        return looking.probe(self._session, self._settings)

    def _found(self, wanted: str, asked: str | None) -> Iterator[Found]:
        name, mark = self._settings.name_attribute, self._settings.marker_attribute
        for dn, values in self._session.search(self._settings.base_dn, wanted, [name, mark]):
            yield self._judged(dn, values.get(name.lower(), []), values.get(mark.lower(), []), asked)

    def _judged(self, dn: str, names: Sequence[str], marks: Sequence[str], asked: str | None) -> Found:
        """Compare names exactly, and take the mark that proves something if there is one among several."""
        keys = current_runtime().keys
        name = asked if asked is not None and asked in names else next(iter(names), dn)
        proofs = [
            mark
            for mark in marks
            if marker.request_in(mark, instance_id=self._instance_id, name=name, keys=keys) is not None
        ]
        return Found(id=dn, name=name, marker=next(iter([*proofs, *marks]), None), ours=bool(proofs))

    def _as_seen(self, entry: Found) -> str:
        name, mark = self._settings.name_attribute, self._settings.marker_attribute
        return f"(&({name}={literal(entry.name)})({mark}={literal(entry.marker or '')}))"

    def _member(self, dn: str, name: str) -> str:
        return name if self._settings.member_attribute == "memberUid" else dn

    def _leave_group(self, dn: str, name: str) -> None:
        settings = self._settings
        if settings.group_dn:
            member = self._member(dn, name)
            self._session.exclude(settings.group_dn, settings.member_attribute, member, setting="group_dn")

    def _there(self, account: Account) -> bool:
        """Whether anybody's entry has this name, in whatever case: then the membership may be its own."""
        base, wanted = self._settings.base_dn, f"({self._settings.name_attribute}={literal(account.name)})"
        return any(True for _ in self._session.search(base, wanted, NOTHING))
