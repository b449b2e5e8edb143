"""One-time codes bound to a browser's S256 challenge (RFC 7636): the hand-off's, and those of logins at products.

Both have one shape: whoever begins keeps a verifier and shows its challenge, the code comes back through the browser,
and it is worth something only together with the verifier, for a minute. Whether it was used is its row's to say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from tempadmin.keys import new_secret
from tempadmin.runtime import Runtime

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
LIVES = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the database keeps of a code; what is missing makes it fit nobody (S36)."""

    digest: str | None
    challenge: str | None
    expires_at: datetime | None


def new(purpose: str, *, challenge: str, now: datetime, runtime: Runtime) -> tuple[str, Kept]:
    """Return a fresh code for a challenge, and what is kept of it."""
    code = new_secret()
    kept = Kept(digest=runtime.keys.digest(purpose, code), challenge=challenge, expires_at=now + LIVES)
    return code, kept


def fits(kept: Kept, purpose: str, *, code: str, verifier: str, now: datetime, runtime: Runtime) -> bool:
    """Tell whether a code is this one, in time, and was made for whoever holds the verifier."""
    if kept.digest is None or kept.expires_at is None or now >= kept.expires_at:
        return False
    right_code = any(hmac.compare_digest(kept.digest, digest) for digest in runtime.keys.digests(purpose, code))
    return right_code and hmac.compare_digest(kept.challenge or "", challenge_of(verifier))


def challenge_of(verifier: str) -> str:
    """Return the challenge of a verifier: SHA-256, base64url without padding (RFC 7636, S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
