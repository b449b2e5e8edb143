"""What a PostgreSQL server keeps of a password (RFC 5802, RFC 7677): it proves who knows it, and opens nothing."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode

ITERATIONS, SALT_BYTES = 4096, 16


def verifier(password: str) -> str:
    """Return the verifier by which a role's password is set, so that the server and its log never see that.

    Parameters
    ----------
    password
        ASCII, as those that are made here; others would have to be prepared first (RFC 4013).
    """
    salt = secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored, server = hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def _text(value: bytes) -> str:
    return b64encode(value).decode()
