"""What a PostgreSQL server, or the way to it, said: made into words, with which setting is wrong where that is known.

Only the first line of an error is repeated, and never the statement: that one may hold a password's verifier.
"""

from __future__ import annotations

import re

import psycopg

from instances.connectors.base import ConnectorError
from instances.connectors.postgresql.settings import PostgresqlSettings

LONGEST = 300

PREFIX = re.compile(
    r"^(connection (failed|is bad): )?"
    r'(connection to server (at|on socket) "[^"]*"( \([^)]*\))?(, port \d+)? failed: )?'
)
PERMANENT = {
    "0LP01": "roles",
    "22023": None,
    "28000": "user",
    "28P01": "password",
    "3D000": "database",
    "0A000": None,
    "42501": None,
    "42601": None,
    "42602": None,
    "42704": "roles",
    "42939": None,
}
"""What asking again will not help, by SQLSTATE, and the setting that is wrong; all else may pass."""

# Before a connection stands, libpq gives no SQLSTATE; a server whose messages are not English is asked again in vain.
REFUSALS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"password authentication failed|no password supplied|empty password", re.IGNORECASE), "password"),
    (re.compile(r'role ".*" does not exist|not permitted to log in', re.IGNORECASE), "user"),
    (re.compile(r"authentication failed|pg_hba\.conf|no encryption", re.IGNORECASE), "user"),
    (re.compile(r'database ".*" does not exist|permission denied for database', re.IGNORECASE), "database"),
    (re.compile(r"certificate|root\.crt|ssl error", re.IGNORECASE), "ca_file"),
    (re.compile(r"does not support SSL", re.IGNORECASE), "sslmode"),
)


def of_connecting(error: psycopg.Error, settings: PostgresqlSettings, *, database: str) -> ConnectorError:
    """Return what to tell of a connection that did not come about.

    A database other than that of the settings may be closed or dropped again: that is no fault of a setting.
    """
    said = _masked(_first(str(error)), settings)
    message = f"no connection to {settings.address}, database {database}: {said}"
    setting = next((name for pattern, name in REFUSALS if pattern.search(said)), None)
    if setting == "database" and database != settings.database:
        return ConnectorError(message)
    return ConnectorError(message, permanent=setting is not None, setting=setting or "host")


def of_asking(error: psycopg.Error, settings: PostgresqlSettings, *, what: str, grant: str | None) -> ConnectorError:
    """Return what to tell of a statement that failed.

    Parameters
    ----------
    what
        What was tried.
    grant
        What a superuser has to grant where the right was missing.
    """
    code = error.sqlstate
    said = _masked(error.diag.message_primary or _first(str(error)), settings)
    if code == "42501" and grant is not None:
        said = f"{said} ({grant})"
    if code == "55P03":
        said = f"{said}: somebody else holds a lock"
    setting = PERMANENT.get(code or "")
    return ConnectorError(f"{what}: {said}", permanent=code in PERMANENT, setting=setting)


def _first(message: str) -> str:
    """Return the first line, without what only says again that there is no connection, and to where."""
    return " ".join(PREFIX.sub("", message.strip().partition("\n")[0]).split())


def _masked(message: str, settings: PostgresqlSettings) -> str:
    password = settings.password.get_secret_value() if settings.password else ""
    return (message.replace(password, "…") if password else message)[:LONGEST]
