"""What has to be known of a PostgreSQL server."""

from __future__ import annotations

import ipaddress
from typing import Final, Literal, Self

from cryptography import x509
from pydantic import Field, SecretStr, field_validator, model_validator

from instances.connectors.settings import ConnectorSettings, place, refuse

LONGEST_NAME = 63
"""Bytes; PostgreSQL cuts what is longer, and says so in a notice only."""

DISABLE: Final = "disable"
VERIFY_CA: Final = "verify-ca"
VERIFY_FULL: Final = "verify-full"


class PostgresqlSettings(ConnectorSettings):
    """Where the server is, who we are there, and what an administrator's role is granted."""

    host: str = place(title="Host", description="Its name or address, or the folder of its Unix socket.")
    port: int = place(default=5432, ge=1, le=65535, title="Port", description="Of the server itself, not of a pooler.")
    database: str = place(default="postgres", title="Database", description="Where the connector itself connects to.")
    user: str = Field(title="Role of the connector", description="It has CREATEROLE and may grant the roles below.")
    password: SecretStr | None = Field(
        None, title="Password", description="Empty where the server asks for none (a Unix socket with peer)."
    )
    roles: tuple[str, ...] = Field(
        min_length=1,
        max_length=20,
        title="Granted roles",
        description="What makes an account an administrator's; several with commas between.",
    )
    reassign_to: str = Field(
        title="New owner",
        description="The role that gets what an account made, before it is deleted. A function may run with its"
        " owner's rights: give it no more than the roles above.",
    )
    connection_limit: int = Field(
        default=10, ge=-1, le=10_000, title="Connections at most", description="Of one account at once; -1: no limit."
    )
    sslmode: Literal["verify-full", "verify-ca", "disable"] = Field(
        default=VERIFY_FULL, title="TLS", description="disable is for this machine's own addresses only."
    )
    ca_file: str | None = Field(
        None, title="Certificates to trust", description="PEM text; instead of those that the system trusts."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("port", "database", "connection_limit", "sslmode", mode="before")
    @classmethod
    def _none_is_the_default(cls, value: object, info: object) -> object:
        name = str(getattr(info, "field_name", ""))
        return cls.model_fields[name].default if value is None or value == "" else value

    @field_validator("roles", mode="before")
    @classmethod
    def _one_line_is_a_list(cls, value: object) -> object:
        if value is None:
            return ()
        return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value

    @field_validator("host")
    @classmethod
    def _one_host(cls, value: str) -> str:
        if any(one.isspace() or one in ",\0@" for one in value):
            raise ValueError("give one host name, one address, or the folder of a Unix socket, which begins with /")
        return value

    @field_validator("database", "user", "reassign_to")
    @classmethod
    def _name(cls, value: str) -> str:
        return _identifier(value)

    @field_validator("roles")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_identifier(one) for one in value))

    @field_validator("password")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and "\0" in value.get_secret_value():
            raise ValueError("it holds a character that cannot be sent")
        return value

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            x509.load_pem_x509_certificates(value.encode())
        except ValueError:
            raise ValueError("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)") from None
        return value

    @model_validator(mode="after")
    def _all_together(self) -> Self:
        if self.sslmode == DISABLE and not self.is_near:
            refuse("sslmode", "without TLS only this machine's own addresses or a Unix socket can be reached")
        if self.sslmode == VERIFY_CA and self.ca_file is None:
            refuse("ca_file", "verify-ca needs the certificates to trust; what the system trusts is not enough for it")
        if self.user in self.roles:
            refuse("roles", "the connector's own role cannot be granted: it may make roles itself")
        if self.user == self.reassign_to:
            refuse("reassign_to", "what runs with its owner's rights would run with the connector's own")
        return self

    @property
    def is_near(self) -> bool:
        """Whether the server is reached without leaving this machine."""
        if self.host.startswith("/") or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def address(self) -> str:
        """Say where the server is, for a person."""
        return f"{self.host}:{self.port}"


def _identifier(value: str) -> str:
    if not value or "\0" in value or len(value.encode()) > LONGEST_NAME:
        raise ValueError(f"a name in PostgreSQL has 1 to {LONGEST_NAME} bytes")
    return value
