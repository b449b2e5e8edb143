"""The settings: typed, frozen, read once, and refused with every error at once when they are nonsense.

Values come from the environment (``TEMPADMIN_…``), which beats ``tempadmin.toml`` in the data folder (design §7).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tempadmin.setting_types import (
    Address,
    CleanupSchedule,
    DatabaseUrl,
    Duration,
    MailUrl,
    MetricsToken,
    Origin,
    RateLimitUrl,
    SecretKeys,
    Words,
    split_address,
    split_words,
)

ENVIRONMENT_PREFIX = "TEMPADMIN_"
TOML_NAME = "tempadmin.toml"
DEFAULT_MODULES = ("instances", "scheduler", "tickets")


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` holds one line per setting, each with its name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """Everything that an operator can choose; durations are ``timedelta``."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True, extra="forbid")

    data: Path = Path("data")
    database_url: DatabaseUrl | None = None
    base_url: Origin
    secret_keys: SecretKeys
    modules: Words = DEFAULT_MODULES

    user_prefix: str = Field("liferay_online", pattern=r"^[a-z][a-z0-9_]{2,30}$")
    user_email_domain: str = Field("liferayonline.com", pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)+$")

    ticket_ttl: Duration = timedelta(minutes=5)
    approval_ttl: Duration = timedelta(hours=24)
    default_duration: Duration = timedelta(hours=1)
    max_duration: Duration = Field(timedelta(hours=8), validate_default=True)
    idle_timeout: Duration = timedelta(minutes=30)
    session_lifetime: Duration = timedelta(hours=12)
    session_idle: Duration = timedelta(hours=1)
    confirm_by_mail: bool | None = None
    require_omniadmin: bool = False
    require_customer: bool = False

    cleanup_enabled: bool = False
    cleanup_schedule: CleanupSchedule = "0 3 * * *"
    cleanup_min_age: Duration = timedelta(hours=24)
    scheduler: Literal["embedded", "external"] = "embedded"

    mail_url: MailUrl | None = None
    mail_from: str = Field("tempadmin@localhost", pattern=r"^[^\s@]+@[^\s@]+$")
    trusted_proxies: int = Field(0, ge=0, le=10)
    workers: int = Field(2, ge=1, le=64)
    rate_limits: bool = True
    rate_limit_url: RateLimitUrl | None = None
    metrics_token: MetricsToken | None = None
    metrics_listen: Address | None = None

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

    # Judged beside its field and not after all of them, or other problems would hide this one.
    @field_validator("max_duration")
    @classmethod
    def _holds_the_default(cls, value: timedelta, others: ValidationInfo) -> timedelta:
        default = others.data.get("default_duration")
        if default is not None and default > value:
            raise ValueError("default_duration must not be longer than max_duration")
        return value

    @field_validator("mail_url")
    @classmethod
    def _carries_what_it_must(cls, value: str | None, others: ValidationInfo) -> str | None:
        if value == "none" and others.data.get("confirm_by_mail"):
            raise ValueError("confirm_by_mail needs a mail_url other than none")
        return value

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

    @property
    def measures(self) -> bool:
        """Whether metrics are told at all."""
        return self.metrics_token is not None or self.metrics_listen is not None

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port of the metrics' own listener, if there is one."""
        return split_address(self.metrics_listen) if self.metrics_listen else None

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
    problems = [*debug_problems(environment), *_misspelt(environment)]
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
        named = environment.get(ENVIRONMENT_PREFIX + "MODULES", values.get("modules"))
        problems += [_line(one) for one in error.errors()]
        words = split_words(named) if named else DEFAULT_MODULES
        if isinstance(words, tuple | list):
            problems += module_problems(tuple(str(word) for word in words))
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    return settings.model_copy(update={"data": folder})


def debug_problems(environment: Mapping[str, str]) -> list[str]:
    """Say that debug must be off (S43)."""
    if environment.get("FLASK_DEBUG", "").lower() in ("", "0", "false", "no"):
        return []
    return ["FLASK_DEBUG: debug must be off: its console runs any code for anybody"]


def module_problems(names: tuple[str, ...]) -> list[str]:
    """Say what is wrong with a choice of modules, as far as can be told without importing them."""
    problems = [
        f"modules: there is no module {name!r}" for name in names if not name.isidentifier() or find_spec(name) is None
    ]
    if "tickets" in names and "scheduler" not in names:
        problems.append("modules: 'tickets' needs 'scheduler': without it nobody would remove what was left behind")
    if "instances" not in names:
        problems.append("modules: 'instances' is needed: without it no host name leads anywhere")
    return problems


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
