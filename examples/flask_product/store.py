"""The product's own tables, in SQLite: people, groups, sessions."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from werkzeug.security import check_password_hash, generate_password_hash

SCHEMA = """
CREATE TABLE IF NOT EXISTS people (
    id TEXT PRIMARY KEY,
    user_name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    display_name TEXT,
    active INTEGER NOT NULL,
    administrator INTEGER NOT NULL DEFAULT 0,
    password TEXT,      -- of the product's own people; whoever was provisioned has none
    provisioned TEXT,   -- what SCIM said of somebody, as JSON; NULL: one of the product's own people
    created REAL NOT NULL,
    modified REAL NOT NULL,
    version INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS groups (
    id TEXT PRIMARY KEY,
    display_name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    provisioned TEXT NOT NULL DEFAULT '{}',
    created REAL NOT NULL,
    modified REAL NOT NULL,
    version INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS members (
    group_id TEXT NOT NULL REFERENCES groups ON DELETE CASCADE,
    person_id TEXT NOT NULL REFERENCES people ON DELETE CASCADE,
    PRIMARY KEY (group_id, person_id)
);
-- A session goes with its person: an account that was deleted is signed in nowhere.
CREATE TABLE IF NOT EXISTS sessions (
    key TEXT PRIMARY KEY,           -- a digest: who reads the table cannot use what stands there
    person_id TEXT NOT NULL REFERENCES people ON DELETE CASCADE,
    expires_at REAL NOT NULL,
    administrator INTEGER NOT NULL DEFAULT 0,
    really TEXT,                    -- who sits there, where that is not the account's owner
    provider_sid TEXT,              -- the provider's name for this session
    id_token TEXT
);
CREATE TABLE IF NOT EXISTS logout_tokens (jti TEXT PRIMARY KEY, expires_at REAL NOT NULL);
"""

IN_GROUP = """
SELECT 1 FROM members JOIN groups ON groups.id = members.group_id
WHERE members.person_id = ? AND groups.display_name = ?
"""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A person who is signed in."""

    key: str
    person_id: str
    user_name: str
    display_name: str
    administrator: bool
    expires_at: float
    really: str | None
    id_token: str | None


class Store:
    """One SQLite file; each use opens it for itself, so that any number of threads and processes may."""

    def __init__(self, path: str, *, administrators: str) -> None:
        self.path, self.administrators = path, administrators
        self._nobodys_password = generate_password_hash(secrets.token_hex())
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"PRAGMA journal_mode=WAL; {SCHEMA}")
        now = time.time()
        with self.begin() as rows:
            values = (str(uuid.uuid4()), administrators, now, now)
            rows.execute("INSERT OR IGNORE INTO groups (id, display_name, created, modified) VALUES (?,?,?,?)", values)

    @contextmanager
    def begin(self) -> Iterator[sqlite3.Connection]:
        """Open one transaction: all of it happens, or nothing."""
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def add_person(self, user_name: str, *, display_name: str, password: str, administrator: bool) -> None:
        """Add one of the product's own people."""
        now = time.time()
        hashed = generate_password_hash(password)
        values = (str(uuid.uuid4()), user_name, display_name, administrator, hashed, now, now)
        with self.begin() as rows:
            rows.execute(
                "INSERT INTO people (id, user_name, display_name, active, administrator, password, created, modified)"
                " VALUES (?,?,?,1,?,?,?,?)",
                values,
            )

    def person_with_password(self, user_name: str, password: str) -> str | None:
        """Return the id of the person whose name and password these are."""
        with self.begin() as rows:
            row = rows.execute("SELECT * FROM people WHERE user_name = ? AND active", (user_name,)).fetchone()
        # As much work for a name that is not known: the time must not tell.
        hashed = None if row is None else row["password"]
        right = check_password_hash(hashed or self._nobodys_password, password)
        return str(row["id"]) if right and hashed else None

    def provisioned_person(self, user_name: str) -> str | None:
        """Return the id of an active person of this exact name whom SCIM made; never one of the product's own."""
        with self.begin() as rows:
            row = rows.execute(
                "SELECT id FROM people WHERE user_name = ? COLLATE BINARY AND active AND provisioned IS NOT NULL",
                (user_name,),
            ).fetchone()
        return None if row is None else str(row["id"])

    def open_session(
        self,
        person_id: str,
        *,
        expires_at: float,
        administrator: bool = False,
        really: str | None = None,
        provider_sid: str | None = None,
        id_token: str | None = None,
    ) -> str:
        """Sign a person in; return what the browser's cookie keeps."""
        secret = secrets.token_urlsafe(32)
        values = (_digest(secret), person_id, expires_at, administrator, really, provider_sid, id_token)
        with self.begin() as rows:
            rows.execute("INSERT INTO sessions VALUES (?,?,?,?,?,?,?)", values)
        return secret

    def visit(self, secret: str) -> Visit | None:
        """Return who is signed in by this secret, asked anew at every request: an account may have gone since."""
        with self.begin() as rows:
            row = rows.execute(
                "SELECT sessions.*, people.user_name, people.display_name, people.administrator AS own"
                " FROM sessions JOIN people ON people.id = sessions.person_id"
                " WHERE sessions.key = ? AND sessions.expires_at > ? AND people.active",
                (_digest(secret), time.time()),
            ).fetchone()
            if row is None:
                return None
            in_group = rows.execute(IN_GROUP, (row["person_id"], self.administrators)).fetchone()
        return Visit(
            key=row["key"],
            person_id=row["person_id"],
            user_name=row["user_name"],
            display_name=row["display_name"] or row["user_name"],
            administrator=bool(row["own"] or row["administrator"] or in_group),
            expires_at=row["expires_at"],
            really=row["really"],
            id_token=row["id_token"],
        )

    def end_session(self, key: str) -> None:
        """Sign out here."""
        with self.begin() as rows:
            rows.execute("DELETE FROM sessions WHERE key = ?", (key,))

    def end_sessions_of(self, *, sid: str | None, user_name: str | None, jti: str, expires_at: float) -> bool:
        """End what a logout token names: one session, or all of a person; ``False``: this token was used before."""
        with self.begin() as rows:
            rows.execute("DELETE FROM logout_tokens WHERE expires_at < ?", (time.time(),))
            used = rows.execute("INSERT OR IGNORE INTO logout_tokens VALUES (?,?)", (jti, expires_at)).rowcount == 0
            if used:
                return False
            if sid is not None:
                rows.execute("DELETE FROM sessions WHERE provider_sid = ?", (sid,))
            else:
                rows.execute(
                    "DELETE FROM sessions WHERE provider_sid IS NOT NULL"
                    " AND person_id = (SELECT id FROM people WHERE user_name = ? COLLATE BINARY)",
                    (user_name,),
                )
        return True

    def people(self) -> list[sqlite3.Row]:
        """Everybody, for the administrators' page."""
        with self.begin() as rows:
            return rows.execute("SELECT * FROM people ORDER BY user_name").fetchall()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
