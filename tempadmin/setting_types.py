"""What a setting's value may be: each kind is read, judged and put into one form, or refused in words."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from tempadmin.crontab import cron_trigger

SHORTEST_KEY = 32
SHORTEST_TOKEN = 16
LONGEST_DURATION = timedelta(days=3650)
"""Ten years: added to any moment that we meet it stays a moment."""
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|::1", re.IGNORECASE | re.ASCII)


def _seconds(value: object) -> object:
    """Read ``300`` and ``"300"`` as seconds; ISO 8601 such as ``PT5M`` is left to pydantic."""
    try:
        if isinstance(value, str) and re.fullmatch(r"[0-9]+", value.strip()):
            return timedelta(seconds=int(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return timedelta(seconds=value)
    except (OverflowError, ValueError):  # more digits than any duration has
        raise ValueError("must be ten years or less") from None
    return value


def _bearable(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("must be one second or more")
    if value > LONGEST_DURATION:
        raise ValueError("must be ten years or less")
    return value


def split_words(value: object) -> object:
    """Read ``a, b`` as two words; what is a list already is left to pydantic."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _long_enough(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not keys:
        raise ValueError("at least one key is needed")
    if any("\ud800" <= sign <= "\udfff" for key in keys for sign in key.get_secret_value()):
        raise ValueError("is not UTF-8")
    if any(len(key.get_secret_value()) < SHORTEST_KEY for key in keys):
        raise ValueError(f"every key needs {SHORTEST_KEY} characters or more, from a good random source")
    return keys


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as https://console.example.com")
    if not HOST.fullmatch(parts.hostname):
        raise ValueError("has a host name with signs that none may have; write it in ASCII (xn--…)")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("must be scheme, host and perhaps port, with nothing after it")
    host, _port = parts.hostname, parts.port  # reading the port refuses one that is none
    if parts.scheme == "http" and not (host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")):
        raise ValueError("must be https (http is for localhost only)")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _database(value: str) -> str:
    if not value.startswith(("postgresql+psycopg://", "sqlite:///")):
        raise ValueError("must start with sqlite:/// or postgresql+psycopg://")
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):  # its own words would repeat the password
        raise ValueError("is no address: postgresql+psycopg://user:password@host:5432/database") from None
    if "\0" in value or url.database in (None, "", ":memory:"):
        raise ValueError("must name a database: sqlite:////folder/file.db, or a name after the server's address")
    if value.startswith("postgresql") and find_spec("psycopg") is None:
        raise ValueError("needs psycopg, which is not installed: pip install 'tempadmin[postgresql]'")
    return value


def _mail(value: str) -> str:
    parts = urlsplit(value)
    if "\0" not in value and (value in ("none", "console:") or parts.scheme == "file"):
        return value
    if parts.scheme in ("smtp", "smtps") and HOST.fullmatch(parts.hostname or "") and parts.port != 0:
        return value
    raise ValueError("must be smtp://…, smtps://…, file:FOLDER, console: or none")


def _redis(value: str) -> str:
    parts = urlsplit(value)
    _port = parts.port  # reading it refuses one that is none
    if "\0" in value or parts.scheme not in ("redis", "rediss") or not HOST.fullmatch(parts.hostname or ""):
        raise ValueError("must be redis://…, or rediss://… for TLS")
    if not re.fullmatch(r"(/[0-9]{0,5})?", parts.path, re.ASCII) or parts.query or parts.fragment:
        raise ValueError("must be an address with nothing but a database's number after it: redis://host:6379/0")
    if find_spec("redis") is None:
        raise ValueError("needs redis, which is not installed: pip install 'tempadmin[redis]'")
    return value


def split_address(value: str) -> tuple[str, int]:
    """Return host and port of an address that was judged."""
    host, _, port = value.rpartition(":")
    return host.strip("[]"), int(port)


def _address(value: str) -> str:
    found = re.fullmatch(r"(localhost|[0-9.]+|\[[0-9a-f:.]+\]):([0-9]{1,5})", value, re.ASCII)
    try:
        if found is not None and found[1] != "localhost":
            ip_address(found[1].strip("[]"))
    except ValueError:
        found = None
    if found is None or not 0 < int(found[2]) < 65536:
        raise ValueError("must be an IP address of this machine and a port: 127.0.0.1:9464 or [::1]:9464")
    return value


def _speakable(token: SecretStr) -> SecretStr:
    """Require a token that goes through an HTTP header as it is."""
    if not re.fullmatch(r"[!-~]*", token.get_secret_value(), re.ASCII):
        raise ValueError("must be ASCII without blanks")
    if len(token.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(f"needs {SHORTEST_TOKEN} characters or more, from a good random source")
    return token


def _crontab(value: str) -> str:
    cron_trigger(value)
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds), AfterValidator(_bearable)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_words)]
SecretKeys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split_words), AfterValidator(_long_enough)]
Origin = Annotated[str, AfterValidator(_origin)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
Address = Annotated[str, AfterValidator(_address)]
MetricsToken = Annotated[SecretStr, AfterValidator(_speakable)]
MailUrl = Annotated[str, AfterValidator(_mail)]
RateLimitUrl = Annotated[str, AfterValidator(_redis)]
CleanupSchedule = Annotated[str, AfterValidator(_crontab)]
