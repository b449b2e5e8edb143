"""The roles of a PostgreSQL server: how an account is made of one, let in, shut, and taken away.

Each change is one transaction. Names are always quoted, so that case and blanks stay what they are; the server knows a
role by its oid, and that is what is compared before a name is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from psycopg import sql
from sqlalchemy import select

from instances.connectors import marker
from instances.connectors.base import Account, ConnectorError, Found
from instances.connectors.postgresql import owned, probing, sessions
from instances.connectors.postgresql.line import Gone, Line, Rows, literal, named, refuse_long, same, written
from instances.connectors.postgresql.scram import verifier
from instances.connectors.remote import THERE_NO_MORE, Directory
from instances.models import Connection
from tempadmin.db import db
from tempadmin.runtime import current_runtime

NEVER = "1970-01-01 00:00:00+00"
LIKE_A_MARKER = r"^[A-Za-z0-9_-]+\.[0-9a-f]{64}$"
ROLES = """
    SELECT r.oid::bigint, r.rolname, d.description, array(
        SELECT g.rolname::text FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
        WHERE m.member = r.oid
    )
    FROM pg_catalog.pg_roles r LEFT JOIN pg_catalog.pg_shdescription d
      ON d.objoid = r.oid AND d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass
"""


class Dropped(dict[int, Found]):
    """Roles of ours that were dropped while one of their sessions might live: by oid, until that one is gone."""


class Roles(Directory):
    """The roles of one server, as one instance's settings tell.

    Parameters
    ----------
    dropped
        What this process remembers of the server from one call to the next.
    """

    def __init__(self, line: Line, instance_id: int, dropped: Dropped) -> None:
        self._line, self._settings, self._instance_id, self._dropped = line, line.to, instance_id, dropped
        self._granted: dict[str, frozenset[str]] = {}
        """What the roles that were looked at have, by their ids."""

    def find(self, account: Account) -> Sequence[Found]:
        """Return the role of the exact name; a dropped one while a session of it lives.

        Raises
        ------
        ConnectorError
            For good, when there is none and a role of another name carries the account's marker: a server never makes
            one under another name, so somebody renamed it, or copied the marker.
        """
        refuse_long(account.name)
        request = account.marker.rpartition(".")[0]
        query = f"{ROLES} WHERE r.rolname = %s OR (%s <> '' AND pg_catalog.starts_with(d.description, %s))"
        rows = self._line.ask(query, (account.name, request, f"{request}."), what="the roles could not be read")
        if there := [entry for entry in self._entries(rows) if entry.name == account.name]:
            return there
        for oid, entry in list(self._dropped.items()):
            if entry.name == account.name and sessions.any_left(self._line, oid):
                return [entry]
        for entry in self._entries(rows):
            if self._is_proven(entry, account.name):
                message = f"the role {entry.name} has the marker of {account.name}: it was renamed, or it is a copy"
                raise ConnectorError(message, permanent=True)
        return []

    def add(self, account: Account) -> None:
        """Make a role that nobody can log in by, with its marker and its rights, in one transaction."""
        refuse_long(account.name)
        attributes = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT PASSWORD NULL"
        self._line.send(
            sql.SQL("CREATE ROLE {} NOLOGIN " + attributes + " CONNECTION LIMIT {} VALID UNTIL {}").format(
                named(account.name), literal(self._settings.connection_limit), literal(NEVER)
            ),
            sql.SQL("COMMENT ON ROLE {} IS {}").format(named(account.name), literal(account.marker)),
            self._grant(account.name),
            what=f"the role {account.name} could not be made",
            grant=self._needed,
        )

    def empower(self, account: Account, entry: Found) -> None:
        """Grant a role what the settings name, and read back that it has it."""
        if not self._missing(entry):
            return
        what = f"the role {entry.name} could not be granted its rights"
        self._change(entry, self._grant(entry.name), what=what)
        self.find(account)
        if missing := self._missing(entry):
            raise ConnectorError(f"the server says that it granted {', '.join(missing)}, and it did not")

    def enable(self, account: Account, entry: Found, *, secret: str | None, until: datetime) -> None:
        """Let somebody log in until then; the password itself never leaves this process."""
        parts = [sql.SQL("ALTER ROLE {} LOGIN VALID UNTIL {}").format(named(entry.name), literal(until.isoformat()))]
        if secret is not None:
            parts.append(sql.SQL(" PASSWORD {}").format(literal(verifier(secret))))
        try:
            self._change(entry, sql.Composed(parts), what=f"nobody could be let in as {entry.name}")
        except Gone:
            raise ConnectorError(THERE_NO_MORE, permanent=True) from None

    def disable(self, account: Account, entry: Found) -> None:
        """Let nobody log in any more, take the rights, end all sessions; one that is gone has only sessions left."""
        name = named(entry.name)
        # Nothing of an end counts as done before the role is dropped: the commit of that waits for the disk, for both.
        changes: list[sql.Composable] = [sql.SQL("SET LOCAL synchronous_commit = off")]
        changes.append(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL VALID UNTIL {}").format(name, literal(NEVER)))
        if has := self._granted.get(entry.id, frozenset()) & set(self._settings.roles):
            # A session that slips through (sessions.py) finds itself without rights.
            changes.append(sql.SQL("REVOKE {} FROM {}").format(named(*sorted(has)), name))
        if not self._is_superuser:
            # What a role owns is its members' to hand over (PostgreSQL 16 and newer ask for more than being one).
            fully = " WITH INHERIT TRUE, SET TRUE" if self._line.info.server_version >= 160000 else ""
            changes.append(sql.SQL("GRANT {} TO CURRENT_USER" + fully).format(name))
        ending = [(0,)]
        with suppress(Gone):
            ending = self._change_and_end(entry, *changes, what=f"the role {entry.name} could not be shut")
        if ending:
            sessions.end(self._line, int(entry.id))

    def delete(self, account: Account, entry: Found) -> None:
        """Hand over what a role has, drop it, and end whatever logged in meanwhile."""
        oid, what = int(entry.id), f"the role {entry.name} could not be dropped"
        look = (*owned.read(oid), sessions.OPENING, sessions.told_to_end(oid))
        prepared, places, opening, ending = self._line.send(*look, what=what, grant=sessions.may(self._line))
        owned.hand_over(self._line, entry.name, prepared, places)
        if ending or opening:
            sessions.end(self._line, oid, opening=[pid for (pid,) in opening])
        self._dropped[oid] = entry
        ending = [(0,)]
        with suppress(Gone):
            drop = sql.SQL("DROP ROLE {}").format(named(entry.name))
            # A session that was opened before this lives on without its role: seen.
            ending = self._change_and_end(entry, drop, what=what)
        if ending:
            sessions.end(self._line, oid)
        self._dropped.pop(oid, None)

    def listed(self) -> Iterator[Found]:
        """Yield roles that carry our marker or begin with the reserved prefix.

        A server may serve several instances: what another one's marker proves is in that one's list.
        """
        prefix = current_runtime().settings.user_prefix.lower()
        query = f"{ROLES} WHERE pg_catalog.starts_with(lower(r.rolname), %s) OR d.description ~ %s ORDER BY r.oid"
        rows = self._line.ask(query, (prefix, LIKE_A_MARKER), what="the roles could not be listed")
        others = _instances_elsewhere() - {self._instance_id}
        for entry in self._entries(rows):
            if entry.ours or (entry.name.lower().startswith(prefix) and not _is_of_one_of(others, entry)):
                yield entry

    def made_by(self, account: Account, entry: Found) -> Sequence[str]:
        """Return what a role owns, in every database."""
        return owned.told(self._line, int(entry.id))

    def probe(self) -> Iterator[str]:
        """Look at everything that we shall need."""
        return probing.probe(self._line)

    def lets_in(self, account: Account, entry: Found) -> bool | None:
        """Tell whether a role may log in now."""
        return probing.may_log_in(self._line, int(entry.id))

    def try_entry(self, account: Account, secret: str) -> Iterator[str]:
        """Log in as the role itself."""
        return probing.log_in(self._line, account.name, secret)

    def _entries(self, rows: Rows) -> Iterator[Found]:
        for oid, name, mark, granted in rows:
            entry = Found(id=str(oid), name=name, marker=mark, ours=False)
            self._granted[entry.id] = frozenset(granted)
            yield replace(entry, ours=self._is_proven(entry, name))

    def _is_proven(self, entry: Found, name: str) -> bool:
        """Tell whether a role's marker is that of an account of this name."""
        keys = current_runtime().keys
        return marker.request_in(entry.marker, instance_id=self._instance_id, name=name, keys=keys) is not None

    def _missing(self, entry: Found) -> list[str]:
        """Return what a role that was looked at lacks of its rights."""
        return sorted(set(self._settings.roles) - self._granted[entry.id])

    def _grant(self, name: str) -> sql.Composed:
        return sql.SQL("GRANT {} TO {}").format(named(*self._settings.roles), named(name))

    def _change(self, entry: Found, change: sql.Composed, *, what: str) -> None:
        """Change a role if the name still means the one that was found; raises ``Gone`` where it does not."""
        self._line.send(same(int(entry.id), entry.name), change, what=what, grant=self._needed)

    def _change_and_end(self, entry: Found, *changes: sql.Composable, what: str) -> Rows:
        """Change a role in one transaction, and end its sessions after that; return those that there were."""
        oid = int(entry.id)
        begin, commit = sql.SQL("BEGIN"), sql.SQL("COMMIT")
        whole = (begin, same(oid, entry.name), *changes, commit, sessions.told_to_end(oid))
        grant = f"{self._needed}; {sessions.may(self._line)}"
        return self._line.send(*whole, what=what, grant=grant)[-1]

    @property
    def _is_superuser(self) -> bool:
        return self._line.info.parameter_status("is_superuser") == "on"

    @property
    def _needed(self) -> str:
        user, roles = written(self._settings.user), ", ".join(map(written, self._settings.roles))
        return f"the role {user} needs CREATEROLE, and ADMIN OPTION on {roles}"


def _instances_elsewhere() -> set[int]:
    ids = set(db.session.scalars(select(Connection.instance_id)))
    db.session.rollback()
    return ids


def _is_of_one_of(instances: Iterable[int], entry: Found) -> bool:
    keys = current_runtime().keys
    return entry.marker is not None and any(
        marker.request_in(entry.marker, instance_id=one, name=entry.name, keys=keys) for one in instances
    )
