"""What an instance tells of its LDAP directory: where it is, who we are there, what an account looks like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import ldap
import ldap.dn
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from instances.connectors.base import Account
from instances.connectors.http import usable_ca
from instances.connectors.settings import ConnectorSettings, place, refuse

PORTS = {"ldaps": 636, "ldap": 389}
PASSWORD = "userPassword"  # noqa: S105 - an attribute's name
ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
KNOWN = frozenset({"name", "email", "user_id"})
DEFAULT_ENTRY = """\
objectClass: inetOrgPerson
cn: {name}
sn: {name}
mail: {email}"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Changes = dict[str, list[str]]
"""Attributes and the values that they get; none: the attribute goes."""


class Lock(StrEnum):
    """How the directory is told that nobody gets in; the account has no password besides, whatever stands here."""

    PASSWORD = "password"  # noqa: S105
    """No password is all: works everywhere."""
    NS_ACCOUNT_LOCK = "nsAccountLock"
    """389 Directory Server and its kin."""
    PPOLICY = "pwdAccountLockedTime"
    """OpenLDAP with the overlay ``ppolicy``; it enforces the end of the access, too."""
    SHADOW = "shadowExpire"
    """Machines that take their users from the directory; by the day, so that an access's last day counts whole."""

    def locked(self) -> Changes:
        """Return what locks an entry."""
        values = {Lock.NS_ACCOUNT_LOCK: "true", Lock.PPOLICY: "000001010000Z", Lock.SHADOW: "1"}
        return {self.value: [values[self]]} if self in values else {}

    def unlocked(self, until: datetime) -> Changes:
        """Return what unlocks an entry until then, as far as the directory knows such a limit."""
        if self is Lock.PPOLICY:
            return {self.value: [], "pwdEndTime": [until.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")]}
        if self is Lock.SHADOW:
            return {self.value: [str((until - EPOCH) // timedelta(days=1) + 1)]}
        return {} if self is Lock.PASSWORD else {self.value: []}


def _dn(value: str) -> str:
    try:
        parts = ldap.dn.str2dn(value)
    except ldap.LDAPError:
        parts = []
    if not parts:
        raise ValueError("this is no distinguished name, such as ou=people,dc=example,dc=org")
    return value


def _attribute(value: str) -> str:
    if not ATTRIBUTE.fullmatch(value):
        raise ValueError("this is no attribute's name")
    return value


DistinguishedName = Annotated[str, AfterValidator(_dn)]
Attribute = Annotated[str, AfterValidator(_attribute)]


class LdapSettings(ConnectorSettings):
    """The settings of one directory; nothing is ever sent to it in clear."""

    url: str = place(
        title="Address",
        description="ldaps://host, or ldap://host, which then has to speak StartTLS; a port may follow.",
    )
    ca_file: str = Field(
        "", title="Certificates to trust", description="PEM text; instead of those that the system trusts."
    )
    bind_dn: DistinguishedName = Field(title="Bind DN", description="The account that tempadmin signs in with.")
    bind_password: SecretStr = Field(min_length=1, title="Bind password", description="That account's password.")
    base_dn: DistinguishedName = place(title="Base DN", description="Where the accounts are made.")
    name_attribute: Literal["uid", "cn"] = place(
        default="uid", title="Name attribute", description="What an account's name is called there: uid or cn."
    )
    entry: str = Field(
        DEFAULT_ENTRY,
        title="Entry",
        description="Lines “attribute: value”; {name}, {email}, {user_id} are filled in.",
    )
    marker_attribute: Attribute = place(
        default="description",
        title="Attribute for our marker",
        description="It proves that an account is ours; nothing else may write it.",
    )
    group_dn: Literal[""] | DistinguishedName = place(
        default="", title="Administrators' group", description="The DN of the group whose members are administrators."
    )
    member_attribute: Literal["member", "uniqueMember", "memberUid"] = place(
        default="member",
        title="Member attribute",
        description="What its members are called: member, uniqueMember or memberUid.",
    )
    role_attribute: Literal[""] | Attribute = Field(
        "", title="Role attribute", description="Or an attribute of the account that makes an administrator."
    )
    role_value: str = Field("", title="Role value", description="The value that it then has.")
    lock: Lock = Field(
        Lock.PASSWORD,
        title="Lock",
        description=f"How an account is locked, besides having no password: {', '.join(Lock)}.",
    )

    sign_in_at: str = Field(
        "",
        max_length=500,
        title="Sign-in page",
        description="Where people sign in with such an account, in words; shown with the password.",
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_given(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if not isinstance(value, str) or value.strip()}

    @field_validator("url")
    @classmethod
    def _url_is_a_server(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("an LDAP address begins with ldaps:// or ldap:// and names a host")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("only host and port are wanted after ldaps:// or ldap://")
        if parts.port == 0:
            raise ValueError("there is no port 0")
        return value

    @field_validator("ca_file")
    @classmethod
    def _ca_is_a_certificate(cls, value: str) -> str:
        return usable_ca(value) if value else value

    @field_validator("entry")
    @classmethod
    def _entry_is_a_template(cls, value: str) -> str:
        lines = list(_lines(value))
        if not any(attribute.lower() == "objectclass" for attribute, _ in lines):
            raise ValueError("it needs a line “objectClass: …”")
        for attribute, template in lines:
            if attribute.lower() == PASSWORD.lower():
                raise ValueError("an account has no password until it is let in")
            unknown = set(PLACEHOLDER.findall(template)) - KNOWN
            if unknown or set(PLACEHOLDER.sub("", template)) & {"{", "}"}:
                raise ValueError("braces stand only around {name}, {email} and {user_id}")
        return value

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if not (self.group_dn or self.role_attribute):
            refuse("group_dn", "give the administrators' group, or a role attribute and its value")
        if bool(self.role_attribute) != bool(self.role_value):
            refuse("role_value" if self.role_attribute else "role_attribute", "the two of a role go together")
        ours = {self.marker_attribute.lower(), self.lock.value.lower()}
        if taken := [attribute for attribute, _ in _lines(self.entry) if attribute.lower() in ours]:
            refuse("entry", f"{taken[0]} is set by tempadmin, so it cannot stand here")
        return self

    @property
    def host(self) -> str:
        """The server's name, as its certificate has to have it."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The server's port, or the usual one."""
        parts = urlsplit(self.url)
        return parts.port or PORTS[parts.scheme]

    @property
    def starts_tls(self) -> bool:
        """Whether the connection begins in clear, and nothing is said before it is safe."""
        return urlsplit(self.url).scheme == "ldap"

    def dn_of(self, account: Account) -> str:
        """Return where an account is made; its name cannot leave its place (RFC 4514)."""
        return f"{self.name_attribute}={ldap.dn.escape_dn_chars(account.name)},{self.base_dn}"

    def template(self) -> Changes:
        """Return the attributes that every account has, as they were written, its name's among them."""
        attributes: Changes = {}
        names: dict[str, str] = {}
        for attribute, value in (*_lines(self.entry), (self.name_attribute, "{name}")):
            values = attributes.setdefault(names.setdefault(attribute.lower(), attribute), [])
            if value not in values:
                values.append(value)
        return attributes

    def filled(self, account: Account) -> Changes:
        """Return the attributes of an account as it is made: with its name and marker, and locked."""
        known = {"name": account.name, "email": account.email, "user_id": str(account.user_id)}

        def fill(value: str) -> str:
            return PLACEHOLDER.sub(lambda found: known[found[1]], value)

        filled = {name: list(dict.fromkeys(map(fill, values))) for name, values in self.template().items()}
        return filled | {self.marker_attribute: [account.marker]} | self.lock.locked()


def _lines(entry: str) -> Iterator[tuple[str, str]]:
    for line in filter(None, map(str.strip, entry.splitlines())):
        attribute, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not value or not ATTRIBUTE.fullmatch(attribute):
            raise ValueError("each line is “attribute: value”")
        yield attribute, value
