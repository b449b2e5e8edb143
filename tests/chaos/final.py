"""What is there when all is over, read past the proxy: rows as plain values, mails, runs, and what the program says."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.tickets.killed import ENTITLED, STRAY_ACCOUNTS, USABLE_SESSIONS

Row = dict[str, Any]

CLOCK_ERROR = 0.55
"""How far a process's idea of the database's time may be off: half of its first reading, if that was a slow one."""
CLOCKS_APART = 2 * CLOCK_ERROR

UNSETTLED = """
    SELECT (SELECT count(*) FROM access_requests WHERE state <> 'ended')
        + (SELECT count(*) FROM users WHERE kind = 'temporary')
        + (SELECT count(*) FROM outbox_messages WHERE next_attempt_at IS NOT NULL)"""
DOUBLE_SESSIONS = """
    SELECT access_request_id FROM login_sessions WHERE access_request_id IS NOT NULL
    GROUP BY access_request_id HAVING count(*) > 1"""
LEADER = "SELECT holder FROM scheduler_leases WHERE expires_at > now()"


@dataclass(frozen=True, kw_only=True)
class Final:
    """The final state, and what was wrong on the way to it."""

    requests: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    """In the order of each chain."""
    tickets: list[Row] = field(default_factory=list)
    activity: list[Row] = field(default_factory=list)
    outbox: list[Row] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    """Temporary accounts that are still there, in the database or in the directory."""
    mails: list[str] = field(default_factory=list)
    """Recipient, subject and words of each."""
    runs: list[str] = field(default_factory=list)
    """The due time of each run of the job that notes it."""
    strays: list[str] = field(default_factory=list)
    """What did not fit while it was at work: each look is one statement, so it saw one moment."""
    looks: int = 0
    complaints: list[str] = field(default_factory=list)
    """What `audit verify` and `doctor` say."""


class Watch:
    """Looks at the database all the time, past the proxy, for what must never be."""

    def __init__(self, url: str, directory: Path) -> None:
        self.engine: Engine = create_engine(url, pool_pre_ping=True, isolation_level="AUTOCOMMIT")
        self._directory = directory
        self._stopping = threading.Event()
        self.looks, self.strays = 0, set[str]()

    def rows(self, statement: str) -> list[Row]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

    def leader(self) -> int:
        """The process id of the scheduler that leads; 0 when none does."""
        try:
            found = self.rows(LEADER)
        except OperationalError:
            return 0
        return int(found[0]["holder"].split(":")[-2]) if found else 0

    def run(self) -> None:
        """Look until ``stop``."""
        while not self._stopping.wait(0.4):
            try:
                self._look()
            except OperationalError:  # it restarts, as it was told to
                continue
            self.looks += 1

    def stop(self) -> None:
        self._stopping.set()

    def unsettled(self) -> int:
        """How many requests, accounts and mails are still on their way."""
        found = self.rows(UNSETTLED)[0]
        return int(next(iter(found.values()))) + len(self.there())

    def there(self) -> set[str]:
        """The accounts in the directory that is not the database."""
        return {path.name for path in self._directory.iterdir()} if self._directory.exists() else set()

    def _look(self) -> None:
        before = self.there()
        self.strays |= {f"account without a request: {row}" for row in self.rows(STRAY_ACCOUNTS)}
        self.strays |= {f"session of no active request: {row}" for row in self.rows(USABLE_SESSIONS)}
        self.strays |= {f"two sessions of one request: {row}" for row in self.rows(DOUBLE_SESSIONS)}
        entitled = {row["account_name"] for row in self.rows(ENTITLED)}
        # Names are never used twice: what was there before and after had no owner in between.
        self.strays |= {
            f"account in the directory without a request: {one}" for one in (before - entitled) & self.there()
        }

    def final(self, *, mails: list[str], runs: list[str], complaints: list[str]) -> Final:
        """Read all of it."""
        return Final(
            requests=self.rows("SELECT * FROM access_requests ORDER BY id"),
            events=self.rows("SELECT * FROM audit_events ORDER BY instance_id, number"),
            tickets=self.rows("SELECT * FROM tickets ORDER BY id"),
            activity=self.rows("SELECT * FROM activity ORDER BY id"),
            outbox=self.rows("SELECT * FROM outbox_messages ORDER BY id"),
            accounts=[*(str(row) for row in self.rows("SELECT id FROM users WHERE kind = 'temporary'")), *self.there()],
            mails=mails,
            runs=runs,
            strays=sorted(self.strays),
            looks=self.looks,
            complaints=complaints,
        )


def seconds(moment: datetime | None) -> float:
    """A moment as seconds since 1970, to compare with the history's ``wall``."""
    return 0.0 if moment is None else moment.timestamp()
