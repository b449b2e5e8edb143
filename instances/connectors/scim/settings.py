"""What has to be known of a product's SCIM endpoint."""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from instances.connectors.http import usable_ca, usable_url
from instances.connectors.settings import ConnectorSettings, place, refuse

SENT_AS_IT_IS = re.compile(r"[!-~]+")
"""RFC 6750, RFC 6749: what a token or a client's secret consists of."""

MarkerAttribute = Literal["externalId", "title", "nickName", "userType"]


class ScimSettings(ConnectorSettings):
    """Where the endpoint is, how we prove who we are, what makes an account an administrator's."""

    url: str = place(title="Address", description="Where its SCIM server is, e.g. https://product.example/scim/v2.")
    token: SecretStr | None = Field(
        None, title="Bearer token", description="What proves who we are; or give a client's credentials below."
    )
    token_url: str | None = Field(
        None, title="Token address", description="Where a client's credentials get a token (OAuth 2.0)."
    )
    client_id: str | None = Field(None, title="Client ID", description="The client's name at the token address.")
    client_secret: SecretStr | None = Field(None, title="Client secret", description="The client's secret there.")
    scope: str | None = Field(None, title="Scope", description="What to ask a token for; most servers need none.")
    administrator_group: str | None = Field(
        None,
        title="Administrators' group",
        description="The display name, or the id, of the group whose members are administrators.",
    )
    administrator_role: str | None = Field(
        None,
        title="Administrator's role",
        description="Or the role, as a user's roles have it, that makes an administrator.",
    )
    marker_attribute: MarkerAttribute = place(
        default="externalId",
        title="Attribute for our marker",
        description="Which attribute of a user proves an account ours; another one where the server drops this.",
    )
    ca_file: str | None = Field(
        None,
        title="Certificates to trust",
        description="Certificates in PEM format to trust instead of those that are trusted anyway.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("url", "token_url")
    @classmethod
    def _usable_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(usable_url(value))
        if parts.query or parts.fragment:
            raise ValueError("an address here ends with its path, without ? and #")
        return value.rstrip("/")

    @field_validator("token", "client_secret")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not SENT_AS_IT_IS.fullmatch(value.get_secret_value()):
            raise ValueError("it holds a blank, or a character that cannot be sent")
        return value

    @field_validator("ca_file")
    @classmethod
    def _usable_ca(cls, value: str | None) -> str | None:
        return None if value is None else usable_ca(value)

    @model_validator(mode="after")
    def _one_way_each(self) -> Self:
        client = {"token_url": self.token_url, "client_id": self.client_id, "client_secret": self.client_secret}
        missing = [name for name, value in client.items() if value is None]
        if self.token is not None and len(missing) < len(client):
            refuse("token", "give the token, or token_url, client_id and client_secret; not both")
        if self.token is None and missing:
            name = "token" if len(missing) == len(client) else missing[0]
            refuse(name, "give the token, or token_url, client_id and client_secret")
        if self.scope is not None and self.token is not None:
            refuse("scope", "a token that is given already has its scope")
        if (self.administrator_group is None) == (self.administrator_role is None):
            refuse("administrator_group", "give the administrators' group, or the administrator's role")
        return self

    def secrets(self) -> list[str]:
        """Return what no message may repeat."""
        return [secret.get_secret_value() for secret in (self.token, self.client_secret) if secret is not None]

    @property
    def secret_setting(self) -> str:
        """Name the setting that proves who we are."""
        return "client_secret" if self.token is None else "token"
