"""Passwords: hashed with Argon2id, checked in the same time whether or not the account exists (S42)."""

from __future__ import annotations

import secrets
from base64 import b64encode
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tempadmin.errors import Invalid

SHORTEST, LONGEST = 12, 200

# OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hash_password(password: str) -> str:
    """Return the hash to store.

    Raises
    ------
    Invalid
        When the password is shorter than 12 or longer than 200 characters.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid(f"Choose a password of {SHORTEST} to {LONGEST} characters.", field="password")
    return _hasher.hash(password)


def password_is_right(stored: str | None, password: str) -> bool:
    """Tell whether the password fits; without a stored hash the same work is done for nothing (S42)."""
    try:
        _hasher.verify(stored or _nobodys_hash(), password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


@cache
def _nobodys_hash() -> str:
    """Return a hash that no password fits; it is not computed, or the first unknown address would cost twice."""
    salt, digest = (b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (16, 32))
    return f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}${salt}${digest}"
