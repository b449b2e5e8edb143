"""The client of an instance: its product, as this provider knows it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import bindparam, select

from tempadmin.db import db, run
from tempadmin.errors import Unreadable
from tempadmin.runtime import Runtime
from tempadmin.web.context import InstanceInfo
from tickets.provider.models import OidcClient

SECRET = "oidc.client-secret"  # noqa: S105 - the purpose under which secrets are digested


# Built once: each asking looks for one, and so does each page of an account that is used elsewhere.
OF_INSTANCE = select(OidcClient).where(OidcClient.instance_id == bindparam("instance"))
ID_OF_INSTANCE = OF_INSTANCE.with_only_columns(OidcClient.id)


@dataclass(frozen=True, kw_only=True)
class Client:
    """A product as it is registered, read once for a request."""

    id: int
    instance_id: int
    client_id: str
    secret_digest: str
    login_uri: str
    redirect_uris: Sequence[str]
    post_logout_redirect_uris: Sequence[str]
    backchannel_logout_uri: str | None
    ca_file: str | None
    groups: Sequence[str]

    def knows_secret(self, secret: str, *, runtime: Runtime) -> bool:
        """Tell in constant time whether this is the client's secret."""
        digests = runtime.keys.digests(SECRET, secret)
        return any(hmac.compare_digest(self.secret_digest, digest) for digest in digests)


def of_instance(instance_id: int) -> OidcClient | None:
    """Return the instance's client, or ``None`` where no product is registered."""
    return db.session.scalars(OF_INSTANCE, {"instance": instance_id}).one_or_none()


def is_registered(instance_id: int) -> bool:
    """Tell whether an instance has a client."""
    return run(ID_OF_INSTANCE, {"instance": instance_id}).first() is not None


def registered(instance: InstanceInfo) -> Client | None:
    """Return what is registered of an instance's product, or ``None``.

    Raises
    ------
    Unreadable
        When somebody spoiled its row: then nobody gets in by it (S36).
    """
    row = of_instance(instance.id)
    return None if row is None else read(row)


def read(row: OidcClient) -> Client:
    """Return what a row says; as ``registered``."""
    return Client(
        id=row.id,
        instance_id=row.instance_id,
        client_id=row.client_id,
        secret_digest=row.secret_digest,
        login_uri=row.login_uri,
        redirect_uris=_listed(row.redirect_uris),
        post_logout_redirect_uris=_listed(row.post_logout_redirect_uris),
        backchannel_logout_uri=row.backchannel_logout_uri,
        ca_file=row.ca_file,
        groups=_listed(row.groups),
    )


def _listed(text: str) -> tuple[str, ...]:
    try:
        values: Any = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Unreadable("What is registered of this instance's product cannot be read. Register it again.")
    return tuple(cast("list[str]", values))
