"""What the product has to be told, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The product's settings; without ``issuer`` nobody enters by OpenID Connect."""

    url: str
    """Where browsers find the product: scheme, host and port, no slash at the end."""
    secret_key: str
    """Signs the session cookie."""
    database: str
    """Path of the SQLite file; made when it is not there."""
    scim_token: str
    """The bearer token of whoever may provision accounts; empty: nobody."""
    issuer: str
    """The OpenID provider, exactly as it names itself."""
    client_id: str
    client_secret: str
    administrators: str
    """The group whose members are administrators: of SCIM, or of the claim ``groups``."""


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read ``PRODUCT_…``.

    Raises
    ------
    KeyError
        When ``PRODUCT_SECRET_KEY`` is not set: sessions that anybody could sign are no sessions.
    """
    return Settings(
        url=environment.get("PRODUCT_URL", "http://localhost:5000").rstrip("/"),
        secret_key=environment["PRODUCT_SECRET_KEY"],
        database=environment.get("PRODUCT_DATABASE", "product.db"),
        scim_token=environment.get("PRODUCT_SCIM_TOKEN", ""),
        issuer=environment.get("PRODUCT_ISSUER", ""),
        client_id=environment.get("PRODUCT_CLIENT_ID", ""),
        client_secret=environment.get("PRODUCT_CLIENT_SECRET", ""),
        administrators=environment.get("PRODUCT_ADMINISTRATORS", "administrators"),
    )
