"""What an LDAP server refuses, in words, and whether asking again may help."""

from __future__ import annotations

from collections.abc import Iterable

import ldap

from instances.connectors import wording
from instances.connectors.base import ConnectorError

MAY_PASS = (
    ldap.ADMINLIMIT_EXCEEDED,
    ldap.ASSERTION_FAILED,
    ldap.BUSY,
    ldap.CONNECT_ERROR,
    ldap.DECODING_ERROR,
    ldap.LOCAL_ERROR,
    ldap.NOT_ALLOWED_ON_NONLEAF,
    ldap.OPERATIONS_ERROR,
    ldap.OTHER,
    ldap.PROTOCOL_ERROR,
    ldap.SERVER_DOWN,
    ldap.SIZELIMIT_EXCEEDED,
    ldap.TIMELIMIT_EXCEEDED,
    ldap.TIMEOUT,
    ldap.UNAVAILABLE,
)
"""Not now; of all else asking again changes nothing, until somebody changes the server or the settings."""

WORDS: tuple[tuple[type[ldap.LDAPError], str, str | None], ...] = (
    (ldap.INVALID_CREDENTIALS, "the password is wrong, or the account is not there or locked", None),
    (ldap.INSUFFICIENT_ACCESS, "the account that we sign in with may not do that", "bind_dn"),
    (ldap.REFERRAL, "this server is not the one that can do that, and referrals are not followed", "url"),
    (ldap.OBJECT_CLASS_VIOLATION, "its object classes do not allow that", None),
    (ldap.NO_SUCH_OBJECT, "there is no such entry", None),
    (ldap.NOT_ALLOWED_ON_NONLEAF, "somebody made entries below it", None),
    (ldap.ASSERTION_FAILED, "it was changed meanwhile", None),
    (ldap.SIZELIMIT_EXCEEDED, "the server does not tell all that it has", None),
    (ldap.SERVER_DOWN, "the connection broke", None),
)


def explained(error: ldap.LDAPError, tried: str, *, setting: str | None, secrets: Iterable[str]) -> ConnectorError:
    """Return the error for a refusal.

    Parameters
    ----------
    setting
        Which one is wrong where the refusal is for good and does not itself tell.
    secrets
        What was sent, and may come back in the server's own words.
    """
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    words, culprit = next(((words, one) for kind, words, one in WORDS if isinstance(error, kind)), (None, None))
    said = [str(details.get(key) or "") for key in ("desc", "info")]
    quoted = wording.short(wording.masked(": ".join(filter(None, said)), secrets), 160)
    permanent = not isinstance(error, MAY_PASS)
    text = ": ".join(filter(None, (tried, words, f"“{quoted}”" if quoted else type(error).__name__)))
    return ConnectorError(text, permanent=permanent, setting=(culprit or setting) if permanent else None)
