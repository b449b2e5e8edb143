"""Requests to a SCIM server and its answers, read with care: scim2-client speaks, and believes little of what it hears.

Answers are read as plain JSON: one stranger whose e-mail address no validator likes must not hide everybody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
from scim2_client import BaseSyncSCIMClient, SCIMClientException
from scim2_models import Group, PatchOp, PatchOperation, Resource, SCIMException, ScimProvider, User

from instances.connectors import wording
from instances.connectors.base import ConnectorError
from instances.connectors.http import guarded_client
from instances.connectors.scim.settings import ScimSettings
from instances.connectors.scim.tokens import Credentials

PROVIDER = ScimProvider(models=[User, Group])
Answer = dict[str, Any]


class Refused(ConnectorError):
    """The server answered, and no.

    Parameters
    ----------
    status
        The answer's HTTP status.
    """

    def __init__(self, error: ConnectorError, *, status: int, setting: str | None) -> None:
        super().__init__(str(error), permanent=error.permanent, setting=setting)
        self.status = status


class Scim(BaseSyncSCIMClient):
    """One SCIM server, reached for one call of the contract; ``timeout`` is for everything together."""

    def __init__(self, settings: ScimSettings, *, timeout: timedelta) -> None:
        super().__init__(
            provider=PROVIDER,
            check_response_payload=False,
            check_response_content_type=False,
            check_response_status_codes=False,
        )
        self._settings, self._credentials = settings, Credentials(settings, timeout=timeout)
        self._client = guarded_client(
            url=settings.url, timeout=timeout, ca_pem=settings.ca_file, secrets=settings.secrets()
        )

    def close(self) -> None:
        """Close its connection."""
        self._client.close()

    def request(self, method: str, url: str, **details: Any) -> httpx.Response:
        """Send a request of scim2-client's; raises ``Refused`` unless the answer is a success."""
        answer = self._sent(method, url, **details)
        if answer.status_code == 401 and self._credentials.forget():
            answer = self._sent(method, url, **details)
        if not answer.is_success:
            raise self._refused(answer)
        return answer

    def read(self, kind: type[Resource[Any]], entry_id: str) -> Answer | None:
        """Return one entry by the server's own id, or ``None`` when it is not there."""
        try:
            return self._object(kind, entry_id)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def page(self, kind: type[Resource[Any]], query: Mapping[str, object]) -> Answer:
        """Return one page of a list."""
        return self._object(kind, None, dict(query))

    def about(self) -> Answer | None:
        """Return what the server tells of itself (``ServiceProviderConfig``), or ``None`` where it has no such page."""
        try:
            with _understood():
                answer = json.loads(self.request("GET", "/ServiceProviderConfig").text)
        except Refused as refused:
            if refused.status in {404, 405, 501}:
                return None
            raise
        return answer if isinstance(answer, dict) else {}

    def add(self, entry: Resource[Any]) -> Answer:
        """Make an entry; return what the server says of it, which may be nothing."""
        with _understood():
            answer = self.create(entry)
        return answer if isinstance(answer, dict) else {}

    def change(self, kind: type[Resource[Any]], entry_id: str, *changes: PatchOperation[Any]) -> None:
        """Change an entry by PATCH; servers answer 200 with the entry, or 204 with nothing."""
        with _understood(reads=False):
            self.modify(kind, entry_id, PatchOp[kind](operations=list(changes)))  # type: ignore[valid-type]

    def take_away(self, kind: type[Resource[Any]], entry_id: str) -> None:
        """Delete an entry; one that is gone already is a success."""
        try:
            with _understood(reads=False):
                self.delete(kind, entry_id)
        except Refused as refused:
            if refused.status != 404:
                raise

    def _object(self, kind: type[Resource[Any]], entry_id: str | None, query: Answer | None = None) -> Answer:
        with _understood():
            answer = self.query(kind, entry_id, query, check_request_payload=False)
        if not isinstance(answer, dict):
            raise ConnectorError(f"{wording.address(self._settings.url)}: answered JSON that is no SCIM", setting="url")
        return answer

    def _sent(self, method: str, url: str, **details: Any) -> httpx.Response:
        headers = {
            "Accept": "application/scim+json, application/json",
            "Authorization": f"Bearer {self._credentials.token()}",
        }
        content = None
        if "json" in details:
            content, headers["Content-Type"] = json.dumps(details.pop("json")), "application/scim+json"
        return self._client.request(method, self._settings.url + url, headers=headers, content=content, **details)

    def _refused(self, answer: httpx.Response) -> Refused:
        status, wait = answer.status_code, answer.headers.get("Retry-After", "")
        what = {
            401: "does not take our credentials",
            403: "does not let us do that",
            429: f"asks to wait {wait} s" if wait.isascii() and wait.isdecimal() else "asks to wait",
        }.get(status)
        setting = {401: self._settings.secret_setting, 403: self._settings.secret_setting}.get(status)
        error = wording.refused(answer, what, secrets=self._settings.secrets(), setting=setting)
        return Refused(error, status=status, setting=setting)


@contextmanager
def _understood(*, reads: bool = True) -> Iterator[None]:
    """Put into words what scim2-client makes of an answer; what was only sent may be answered by anything."""
    try:
        yield
    except SCIMClientException as error:
        if not reads:
            return
        answer = error.source
        if isinstance(answer, httpx.Response):
            raise wording.refused(answer, "answered no SCIM", setting="url") from None
        raise ConnectorError(f"no SCIM came back: {str(error)[:80]}", setting="url") from None
    except SCIMException as error:
        raise ConnectorError(f"this cannot be asked of a SCIM server: {str(error)[:80]}", permanent=True) from None
    except (ValueError, RecursionError):
        raise ConnectorError("the server describes itself by something that is no JSON", setting="url") from None


def quoted(value: str) -> str:
    """Return a value as filters have it (RFC 7644, section 3.4.2.2): as JSON has it."""
    return json.dumps(value)


def values_of(entry: Answer, name: str) -> Sequence[str]:
    """Return the values of an attribute with many, whatever else stands there."""
    many = entry.get(name)
    each = many if isinstance(many, list) else []
    return [str(one["value"]) for one in each if isinstance(one, dict) and one.get("value") is not None]
