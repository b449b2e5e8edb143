"""The settings: typed, frozen, read once, and refused with every error at once when they are nonsense.

Values come from the environment (``TEMPADMIN_…``), which beats ``tempadmin.toml`` in the data folder (design §7).
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from tempadmin.crontab import cron_trigger

ENVIRONMENT_PREFIX = "TEMPADMIN_"
TOML_NAME = "tempadmin.toml"
SHORTEST_KEY = 32


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` holds one line per setting, each with its name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _seconds(value: object) -> object:
    """Read ``300`` and ``"300"`` as seconds; ISO 8601 such as ``PT5M`` is left to pydantic."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value.strip()):
        return timedelta(seconds=int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return timedelta(seconds=value)
    return value


def _at_least_a_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("must be one second or more")
    return value


def _words(value: object) -> object:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _long_enough(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not keys:
        raise ValueError("at least one key is needed")
    if any(len(key.get_secret_value()) < SHORTEST_KEY for key in keys):
        raise ValueError(f"every key needs {SHORTEST_KEY} characters or more, from a good random source")
    return keys


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as https://console.example.com")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("must be scheme, host and perhaps port, with nothing after it")
    host = parts.hostname
    if parts.scheme == "http" and not (host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")):
        raise ValueError("must be https (http is for localhost only)")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _database(value: str) -> str:
    if value.startswith(("postgresql+psycopg://", "sqlite:///")):
        return value
    raise ValueError("must start with sqlite:/// or postgresql+psycopg://")


def _mail(value: str) -> str:
    parts = urlsplit(value)
    if value in ("none", "console:") or parts.scheme == "file":
        return value
    if parts.scheme in ("smtp", "smtps") and parts.hostname:
        return value
    raise ValueError("must be smtp://…, smtps://…, file:FOLDER, console: or none")


def _crontab(value: str) -> str:
    cron_trigger(value)
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds), AfterValidator(_at_least_a_second)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
SecretKeys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_words), AfterValidator(_long_enough)]


class Settings(BaseSettings):
    """Everything that an operator can choose; durations are ``timedelta``."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True, extra="forbid")

    data: Path = Path("data")
    database_url: Annotated[str, AfterValidator(_database)] | None = None
    base_url: Annotated[str, AfterValidator(_origin)]
    secret_keys: SecretKeys
    modules: Words = ("instances", "scheduler", "tickets")

    user_prefix: str = Field("liferay_online", pattern=r"^[a-z][a-z0-9_]{2,30}$")
    user_email_domain: str = Field("liferayonline.com", pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)+$")

    ticket_ttl: Duration = timedelta(minutes=5)
    approval_ttl: Duration = timedelta(hours=24)
    default_duration: Duration = timedelta(hours=1)
    max_duration: Duration = timedelta(hours=8)
    idle_timeout: Duration = timedelta(minutes=30)
    session_lifetime: Duration = timedelta(hours=12)
    session_idle: Duration = timedelta(hours=1)
    confirm_by_mail: bool | None = None
    require_omniadmin: bool = False
    require_customer: bool = False

    cleanup_enabled: bool = False
    cleanup_schedule: Annotated[str, AfterValidator(_crontab)] = "0 3 * * *"
    cleanup_min_age: Duration = timedelta(hours=24)
    scheduler: Literal["embedded", "external"] = "embedded"

    mail_url: Annotated[str, AfterValidator(_mail)] | None = None
    mail_from: str = Field("tempadmin@localhost", pattern=r"^[^\s@]+@[^\s@]+$")
    trusted_proxies: int = Field(0, ge=0, le=10)
    workers: int = Field(2, ge=1, le=64)
    rate_limits: bool = True

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment beat what the file (passed as arguments) says."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.default_duration > self.max_duration:
            raise ValueError("default_duration must not be longer than max_duration")
        if self.confirm_by_mail and self.mail_url == "none":
            raise ValueError("confirm_by_mail needs a mail_url other than none")
        return self

    @property
    def database(self) -> str:
        """The database's address: ``database_url``, or the SQLite file in the data folder."""
        return self.database_url or f"sqlite:///{self.data.absolute() / 'tempadmin.db'}"

    @property
    def mail(self) -> str:
        """Where mail goes: ``mail_url``, or files in the data folder."""
        return self.mail_url or f"file:{self.data.absolute() / 'mail'}"

    @property
    def confirms_by_mail(self) -> bool:
        """Whether the confirmation link travels by mail; true unless there is no mail."""
        return self.mail != "none" if self.confirm_by_mail is None else self.confirm_by_mail

    @property
    def https(self) -> bool:
        """Whether people reach the service over https; decides about ``Secure`` cookies and HSTS."""
        return self.base_url.startswith("https://")

    def keys(self) -> tuple[str, ...]:
        """Return the secret keys in clear, newest first."""
        return tuple(key.get_secret_value() for key in self.secret_keys)


def load_settings(data: Path | None = None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings for a data folder.

    Parameters
    ----------
    data
        The data folder from the command line; it beats ``TEMPADMIN_DATA``, which beats ``./data``.

    Raises
    ------
    SettingsError
        With all problems at once, each by its setting's name.
    """
    environment = os.environ if environment is None else environment
    folder = data or Path(environment.get(ENVIRONMENT_PREFIX + "DATA", "data"))
    problems = _misspelt(environment)
    values: dict[str, Any] = {}
    try:
        values = tomllib.loads((folder / TOML_NAME).read_text("utf-8"))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        problems.append(f"{folder / TOML_NAME}: {error}")
    try:
        settings = Settings(**{**values, "data": folder})
    except ValidationError as error:
        raise SettingsError(problems + [_line(one) for one in error.errors()]) from None
    if problems:
        raise SettingsError(problems)
    return settings.model_copy(update={"data": folder})


def _line(error: Any) -> str:
    """Say which setting, and what is wrong, without ever repeating a value that may be secret."""
    name = str(error["loc"][0]) if error["loc"] else "settings"
    if error["type"] == "missing":
        variable = ENVIRONMENT_PREFIX + name.upper()
        return f"{name}: is required; set {variable} or write it into {TOML_NAME} (or try: tempadmin demo)"
    if error["type"] == "extra_forbidden":
        return f"{name}: there is no such setting"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"


def _misspelt(environment: Mapping[str, str]) -> list[str]:
    """Name variables that look like a setting and are none: a typing error in a limit must not go unnoticed."""
    known = list(Settings.model_fields)
    problems = []
    for variable in environment:
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if variable.startswith(ENVIRONMENT_PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            problems += [f"{variable}: there is no such setting; did you mean {close[0]}?"] if close else []
    return problems
