"""How we prove to a SCIM server who we are: a bearer token that was given, or one that client credentials get us.

A token that was got is kept in memory until shortly before it expires, for servers count, and some bill, each of them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from threading import Lock

import httpx

from instances.connectors import wording
from instances.connectors.base import ConnectorError
from instances.connectors.http import guarded_client
from instances.connectors.scim.settings import ScimSettings
from tempadmin.runtime import current_runtime

EARLY = timedelta(seconds=30)
UNSAID = timedelta(minutes=1)
"""How long a token is taken to last whose answer does not say."""
LONGEST = timedelta(hours=1)
WRONG = {"invalid_client": "client_secret", "unauthorized_client": "client_id", "invalid_scope": "scope"}
"""RFC 6749, section 5.2: which setting an error speaks of."""

_kept: dict[str, tuple[str, datetime]] = {}
_lock = Lock()


class Credentials:
    """The token of one instance's settings."""

    def __init__(self, settings: ScimSettings, *, timeout: timedelta) -> None:
        self._settings, self._timeout = settings, timeout

    def token(self) -> str:
        """Return the token to send now.

        Raises
        ------
        ConnectorError
            When the token's server gives none.
        """
        if self._settings.token is not None:
            return self._settings.token.get_secret_value()
        with _lock:
            kept = _kept.get(self._key)
        now = current_runtime().now()
        if kept is not None and now < kept[1]:
            return kept[0]
        token, lasts = self._fetched()
        with _lock:
            _kept[self._key] = token, now + lasts
        return token

    def forget(self) -> bool:
        """Forget a token that was kept, for it was refused; return whether asking for a new one may help."""
        with _lock:
            return _kept.pop(self._key, None) is not None

    @property
    def _key(self) -> str:
        values = (self._settings.token_url, self._settings.client_id, self._settings.scope, *self._settings.secrets())
        return hashlib.sha256(repr(values).encode()).hexdigest()

    def _fetched(self) -> tuple[str, timedelta]:
        url, client_id = self._settings.token_url or "", self._settings.client_id or ""
        secret, ca_pem = self._settings.secrets()[0], self._settings.ca_file
        form = {"grant_type": "client_credentials"} | ({"scope": scope} if (scope := self._settings.scope) else {})
        try:
            with guarded_client(url=url, timeout=self._timeout, ca_pem=ca_pem, secrets=[secret]) as client:
                answer = client.post(url, data=form, auth=(client_id, secret))
                if _error_in(answer) == "invalid_client":  # RFC 6749, section 2.3.1: some read the form alone
                    answer = client.post(url, data=form | {"client_id": client_id, "client_secret": secret})
        except ConnectorError as error:
            setting = "token_url" if error.setting == "url" else error.setting
            raise ConnectorError(str(error), permanent=error.permanent, setting=setting) from None
        return self._read(answer, secret)

    def _read(self, answer: httpx.Response, secret: str) -> tuple[str, timedelta]:
        said = _object(answer)
        token, seconds = said.get("access_token"), said.get("expires_in")
        if answer.is_success and isinstance(token, str) and token.isascii() and token.isprintable():
            lasts = timedelta(seconds=seconds) if isinstance(seconds, int) and 0 < seconds < 10**9 else UNSAID
            return token, min(lasts, LONGEST) - EARLY
        what = None if not answer.is_success else "answered without an access token"
        setting = WRONG.get(_error_in(answer), "token_url")
        hidden = [secret, *([token] if isinstance(token, str) else [])]
        raise wording.refused(answer, what, secrets=hidden, setting=setting)


def _object(answer: httpx.Response) -> dict[str, object]:
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _error_in(answer: httpx.Response) -> str:
    return str(_object(answer).get("error", "")) if not answer.is_success else ""
