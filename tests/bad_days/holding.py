"""Somebody else at work in the database, who keeps every writer waiting."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from tests.tickets.servers import Server

WANTED = "users, access_requests, scheduler_leases, login_sessions, throttles, audit_heads"


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
        other.execute(f"LOCK TABLE {WANTED} IN EXCLUSIVE MODE")
        yield
        other.rollback()
