"""Somebody else at work in the database, who keeps every writer waiting."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from tests.tickets.servers import Server, wait_for

WANTED = "users, access_requests, scheduler_leases, login_sessions, throttles, audit_heads"
TRIES_SECONDS = 30


@contextmanager
def everybody_waits(server: Server) -> Iterator[None]:
    """Somebody else holds what every writer wants."""
    url = server.engine.url
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(url.database or "", isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    with psycopg.connect(host=url.host, port=url.port, user=url.username, dbname=url.database) as other:
        wait_for(lambda: _has_all(other), TRIES_SECONDS)
        yield
        other.rollback()


def _has_all(other: psycopg.Connection) -> bool:
    """Lock all tables, or none: writers take them in orders of their own, and a deadlock would cost one of them."""
    try:
        other.execute("SET LOCAL lock_timeout = '100ms'")
        other.execute(f"LOCK TABLE {WANTED} IN EXCLUSIVE MODE")
    except psycopg.errors.LockNotAvailable:
        other.rollback()
        return False
    return True
