"""Everything that is made from the secret keys: digests, sealed values, signatures.

The settings hold one or more secret keys, newest first. All of them verify and open; the first alone digests, signs
and seals (design §7). A separate key is derived for each purpose (HKDF-SHA-256), so a value that was made for one
purpose is noise to every other (S06). The database never holds a key (S01, S15, S50).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import URLSafeSerializer

NONCE_BYTES = 12
SECRET_BYTES = 32


class Unsealable(Exception):
    """A sealed value that no configured key opens: altered, moved to another owner, or its key was taken away."""


def new_secret() -> str:
    """Return a fresh secret of 256 bits from the operating system's CSPRNG, URL-safe (S01)."""
    return secrets.token_urlsafe(SECRET_BYTES)


class Keys:
    """Derives one key per purpose from the secret keys.

    Parameters
    ----------
    secret_keys
        The configured keys, newest first; their length is checked by the settings (S43).
    """

    def __init__(self, secret_keys: Sequence[str]) -> None:
        if not secret_keys:
            raise ValueError("at least one secret key is needed")
        self._secret_keys = tuple(key.encode() for key in secret_keys)
        self._derive = cache(_derive)

    def digest(self, purpose: str, secret: str) -> str:
        """Return the keyed digest under which a secret is stored (HMAC-SHA-256, hex)."""
        return self.digests(purpose, secret)[0]

    def digests(self, purpose: str, secret: str) -> tuple[str, ...]:
        """Return the digests under every key, newest first, to look a secret up while keys rotate."""
        return tuple(self.mac(purpose, secret.encode()))

    def mac(self, purpose: str, message: bytes) -> list[str]:
        """Return the HMAC-SHA-256 of a message under every key, newest first (hex)."""
        return [hmac.digest(self._derive(key, "mac:" + purpose), message, "sha256").hex() for key in self._secret_keys]

    def mac_is_right(self, purpose: str, message: bytes, mac: str) -> bool:
        """Tell in constant time per key whether ``mac`` belongs to the message under any key."""
        for key in self._secret_keys:  # the newest is right nearly always: the others are not even tried then
            derived = self._derive(key, "mac:" + purpose)
            if hmac.compare_digest(hmac.digest(derived, message, "sha256").hex(), mac):
                return True
        return False

    def seal(self, purpose: str, value: bytes, *, owner: str) -> str:
        """Encrypt a value for one owner (AES-256-GCM, the owner's name is associated data).

        Parameters
        ----------
        purpose
            What the value is for; another purpose cannot open it.
        value
            The clear text.
        owner
            Whose it is, e.g. ``user:17``. Moved to another row, the value no longer opens (S15).
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        box = AESGCM(self._derive(self._secret_keys[0], "seal:" + purpose))
        return urlsafe_b64encode(nonce + box.encrypt(nonce, value, owner.encode())).decode()

    def unseal(self, purpose: str, sealed: str, *, owner: str) -> bytes:
        """Open a sealed value.

        Raises
        ------
        Unsealable
            When no configured key opens it for this purpose and owner.
        """
        try:
            raw = urlsafe_b64decode(sealed.encode())
        except ValueError as error:
            raise Unsealable("not a sealed value") from error
        nonce, box = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
        for key in self._secret_keys:
            try:
                return AESGCM(self._derive(key, "seal:" + purpose)).decrypt(nonce, box, owner.encode())
            except (InvalidTag, ValueError):
                continue
        raise Unsealable(
            "no configured secret key opens this value; put the key that was removed back at the end of secret_keys"
        )

    def serializer(self, salt: str) -> URLSafeSerializer:
        """Return itsdangerous' serializer for a purpose; it signs with the newest key and verifies with all."""
        oldest_first = [self._derive(key, "sign") for key in reversed(self._secret_keys)]
        return URLSafeSerializer(
            oldest_first, salt="tempadmin." + salt, signer_kwargs={"digest_method": staticmethod(hashlib.sha256)}
        )


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tempadmin:" + purpose.encode()).derive(key)
