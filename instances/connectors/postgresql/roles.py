"""The roles of a PostgreSQL server: how an account is made of one, let in, shut, and taken away.

Each change is one transaction. Names are always quoted, so that case and blanks stay what they are; the server knows a
role by its oid, and that is what is compared before a name is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import psycopg
from psycopg import sql
from sqlalchemy import select

from instances.connectors import marker
from instances.connectors.base import Account, ConnectorError, Found
from instances.connectors.postgresql import owned, probing, sessions
from instances.connectors.postgresql.line import Line, literal, named, refuse_long
from instances.connectors.remote import THERE_NO_MORE, Directory
from instances.models import Connection
from tempadmin.db import db
from tempadmin.runtime import current_runtime

NEVER = "1970-01-01 00:00:00+00"
GONE = "42704"
"""SQLSTATE ``undefined_object``: there is no such role."""

LIKE_A_MARKER = r"^[A-Za-z0-9_-]+\.[0-9a-f]{64}$"
ROLES = """
    SELECT r.oid::bigint, r.rolname, d.description
    FROM pg_catalog.pg_roles r LEFT JOIN pg_catalog.pg_shdescription d
      ON d.objoid = r.oid AND d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass
"""
GRANTED = """
    SELECT g.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
    WHERE m.member = %s
"""
ABOUT_US = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"


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
        make = sql.SQL(
            "CREATE ROLE {name} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT"
            " CONNECTION LIMIT {limit} PASSWORD NULL VALID UNTIL {never};"
            " COMMENT ON ROLE {name} IS {marker}; GRANT {roles} TO {name}"
        ).format(
            name=named(account.name),
            limit=literal(self._settings.connection_limit),
            never=literal(NEVER),
            marker=literal(account.marker),
            roles=named(*self._settings.roles),
        )
        self._line.ask(make, what=f"the role {account.name} could not be made", grant=self._grants)

    def empower(self, account: Account, entry: Found) -> None:
        """Grant a role what the settings name, and read back that it has it."""
        if not self._missing(entry):
            return
        grant = sql.SQL("GRANT {} TO {}").format(named(*self._settings.roles), named(entry.name))
        self._line.ask(grant, what=f"the role {entry.name} could not be granted its rights", grant=self._grants)
        if missing := self._missing(entry):
            raise ConnectorError(f"the server says that it granted {', '.join(missing)}, and it did not")

    def enable(self, account: Account, entry: Found, *, secret: str | None, until: datetime) -> None:
        """Let somebody log in until then; the password itself never leaves this process."""
        parts = [sql.SQL("ALTER ROLE {} LOGIN VALID UNTIL {}").format(named(entry.name), literal(until.isoformat()))]
        if secret is not None:
            parts.append(sql.SQL(" PASSWORD {}").format(literal(self._verifier(entry.name, secret))))
        if not self._alter(entry, sql.Composed(parts), what=f"nobody could be let in as {entry.name}"):
            raise ConnectorError(THERE_NO_MORE, permanent=True)

    def disable(self, account: Account, entry: Found) -> None:
        """Let nobody log in any more, take the rights, end all sessions; one that is gone has only sessions left."""
        shut = sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL VALID UNTIL {}").format(named(entry.name), literal(NEVER))
        what = f"the role {entry.name} could not be shut"
        parts = [shut]
        if has := sorted(set(self._settings.roles) - set(self._missing(entry))):
            # A session that slips through (sessions.py) finds itself without rights.
            parts.append(sql.SQL("; REVOKE {} FROM {}").format(named(*has), named(entry.name)))
        if not self._is_superuser:
            # What a role owns, and its sessions, are its members' to take away (PostgreSQL 16 and newer ask for more).
            inherit = " WITH INHERIT TRUE, SET TRUE" if self._line.info.server_version >= 160000 else ""
            parts.append(sql.SQL("; GRANT {} TO CURRENT_USER" + inherit).format(named(entry.name)))
        self._alter(entry, sql.Composed(parts), what=what)
        sessions.end(self._line, int(entry.id))

    def delete(self, account: Account, entry: Found) -> None:
        """Hand over what a role has, drop it, and end whatever logged in meanwhile."""
        oid = int(entry.id)
        owned.hand_over(self._line, oid, entry.name)
        sessions.end(self._line, oid, opening_too=True)
        self._dropped[oid] = entry
        # A session that was opened between the two lives on without its role: seen.
        self._alter(entry, sql.SQL("DROP ROLE {}").format(named(entry.name)), what=f"{entry.name} could not be dropped")
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

    def _entries(self, rows: Sequence[tuple[int, str, str | None]]) -> Iterator[Found]:
        for oid, name, mark in rows:
            entry = Found(id=str(oid), name=name, marker=mark, ours=False)
            yield replace(entry, ours=self._is_proven(entry, name))

    def _is_proven(self, entry: Found, name: str) -> bool:
        """Tell whether a role's marker is that of an account of this name."""
        keys = current_runtime().keys
        return marker.request_in(entry.marker, instance_id=self._instance_id, name=name, keys=keys) is not None

    def _missing(self, entry: Found) -> list[str]:
        rows = self._line.ask(GRANTED, (int(entry.id),), what="the role's rights could not be read")
        has = {name for (name,) in rows}
        return [name for name in self._settings.roles if name not in has]

    def _alter(self, entry: Found, change: sql.Composed, *, what: str) -> bool:
        """Change a role if the name still means the one that was found; return whether it is there."""
        same = "SELECT 1 FROM pg_catalog.pg_roles WHERE oid = %s AND rolname = %s"
        with self._line.at_once(what):
            if not self._line.ask(same, (int(entry.id), entry.name), what=what):
                return False
            self._line.ask(change, what=what, grant=self._grants)
        return True

    def _verifier(self, name: str, secret: str) -> str:
        """Return what the server keeps of a password (RFC 5803): nobody can log in by it."""
        try:
            made = self._line.pgconn.encrypt_password(secret.encode(), name.encode(), b"scram-sha-256")
        except psycopg.Error:
            raise ConnectorError("the password's verifier could not be made") from None
        return made.decode()

    @property
    def _is_superuser(self) -> bool:
        return self._line.info.parameter_status("is_superuser") == "on"

    @property
    def _grants(self) -> str:
        user, roles = self._settings.user, ", ".join(self._settings.roles)
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
