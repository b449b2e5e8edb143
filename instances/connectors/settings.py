"""What a connector has to know of one instance's directory: typed, checked before it is stored, secrets apart.

Each connector describes its settings by a subclass. Fields that hold a ``SecretStr`` are stored encrypted and never
shown; fields made by ``place()`` say where the directory is, and cannot change while accounts of ours may be there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

PLACE = "place"

S = TypeVar("S", bound="ConnectorSettings")


class ConnectorSettings(BaseModel):
    """The settings of one kind of connector; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class WrongSettings(Exception):
    """Settings that cannot be taken; ``problems`` says of each field what is wrong with it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = problems


def place(**details: Any) -> Any:
    """Describe a field that says which directory is spoken of; takes what ``pydantic.Field`` takes."""
    return Field(json_schema_extra={PLACE: True}, **details)


def is_place(kind: type[ConnectorSettings], name: str) -> bool:
    """Tell whether a field says where the directory is."""
    extra = kind.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and extra.get(PLACE) is True


def checked(kind: type[S], values: Mapping[str, object]) -> S:
    """Return settings read from plain values.

    Raises
    ------
    WrongSettings
        When a value is missing, unknown or nonsense; all of them at once, and never with the value of a secret.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        problems = {
            ".".join(map(str, one["loc"])) or "settings": one["msg"] for one in error.errors(include_input=False)
        }
        raise WrongSettings(problems) from None


def split(settings: ConnectorSettings) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the plain values and the secrets apart, both fit for JSON."""
    secrets = {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    return json.loads(settings.model_dump_json(exclude=set(secrets))), secrets
