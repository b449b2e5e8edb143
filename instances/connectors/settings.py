"""What a connector has to know of one instance's directory: typed, checked before it is stored, secrets apart.

Each connector describes its settings by a subclass. Fields that hold a ``SecretStr`` are stored encrypted and never
shown; fields made by ``place()`` say where the directory is, and cannot change while accounts of ours may be there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar, get_args
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

PLACE = "place"
MASK = "***"

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
            ".".join(map(str, one["loc"])) or "settings": _said(one) for one in error.errors(include_input=False)
        }
        raise WrongSettings(problems) from None


def refuse(name: str, why: str) -> NoReturn:
    """Say of one field what is wrong with several together, from a validator of the whole."""
    problem = InitErrorDetails(type=PydanticCustomError("settings", "{why}", {"why": why}), loc=(name,), input=None)
    raise ValidationError.from_exception_data("ConnectorSettings", [problem])


def split(settings: ConnectorSettings) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the plain values and the secrets apart, both fit for JSON."""
    secrets = {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    return json.loads(settings.model_dump_json(exclude=set(secrets))), secrets


def secret_names(kind: type[ConnectorSettings]) -> Iterator[str]:
    """Yield the names of the fields that hold secrets."""
    return (name for name, field in kind.model_fields.items() if _holds(field.annotation, SecretStr))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets, also where they are written as in an address or in JSON (P12)."""
    written = {form for one in secrets if one for form in (one, quote(one), quote(one, safe=""), json.dumps(one)[1:-1])}
    for form in sorted(written, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _said(error: Any) -> str:
    """Say what is wrong with a value, without the value: it may be secret, though it was typed into another field."""
    words = {"missing": "is missing", "extra_forbidden": "there is no such setting"}
    return words.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")


def _holds(annotation: Any, wanted: type) -> bool:
    return annotation is wanted or any(_holds(part, wanted) for part in get_args(annotation))
