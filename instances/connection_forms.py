"""Forms made of a connector's settings: a field for each, with its meaning below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal, cast, get_args, get_origin

from flask_wtf import FlaskForm
from markupsafe import Markup
from pydantic.fields import FieldInfo
from wtforms import BooleanField, PasswordField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import Optional

from instances.connections import Stored
from instances.connectors.base import ConnectorError
from instances.connectors.settings import ConnectorSettings, WrongSettings, secret_names
from tempadmin.web.fields import SelectChoice
from tempadmin.web.pages import when

SETTING, FORGET = "setting_", "forget_"
TEXTS = ("_file", "_pem", "_template")
"""Endings of the names of settings that hold whole texts."""
NOT_SHOWN = "You gave it a moment ago. It is never sent back, so give it again."


def form_of(kind: type[ConnectorSettings], stored: Stored | None, *, fresh: bool = False) -> FlaskForm:
    """Return the form of a connector's settings, filled with those that are stored.

    Parameters
    ----------
    fresh
        Whatever was sent is not looked at.
    """
    fields: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        secret = name in secret_names(kind)
        fields[SETTING + name] = _field(name, field, secret=secret, stored=stored)
        if secret and not field.is_required() and stored is not None and name in stored.set_at:
            fields[FORGET + name] = BooleanField("Forget the one that is stored")
    fields["submit"] = SubmitField("Try and save")
    values = {SETTING + name: _shown(value) for name, value in _values(kind, stored).items()}
    sent = {"formdata": None} if fresh else {}
    return cast(FlaskForm, type("ConnectionForm", (FlaskForm,), fields)(data=values, **sent))


def typed(form: FlaskForm, kind: type[ConnectorSettings]) -> dict[str, object]:
    """Return what was typed, as settings; what was left empty is absent, and a secret that is to go is empty."""
    values: dict[str, object] = {}
    secrets = set(secret_names(kind))
    for name, field in kind.model_fields.items():
        data = form[SETTING + name].data
        if isinstance(data, bool):
            values[name] = data
        elif name in secrets and not data and (form.data.get(FORGET + name) or False):
            values[name] = ""
        elif data:
            values[name] = _read(str(data), field)
    return {name: value for name, value in values.items() if value not in ([], {}) or name in secrets}


def show_problems(form: FlaskForm, error: WrongSettings | ConnectorError) -> None:
    """Put each problem beside its field; what belongs to none stands above all of them."""
    problems = dict(error.problems) if isinstance(error, WrongSettings) else {error.setting or "": str(error)}
    for name, said in problems.items():
        field = SETTING + name.partition(".")[0]
        sentence = f"{said[:1].upper()}{said[1:].rstrip('.')}."
        if field in form:
            form[field].errors = [*form[field].errors, sentence]
        else:
            form.form_errors.append(f"{name}: {sentence}" if name else sentence)


def ask_for_secrets_again(form: FlaskForm) -> None:
    """Say of each secret that was typed that it has to be typed again; nothing else is lost."""
    for field in form:
        if isinstance(field, PasswordField) and field.data:
            field.description = NOT_SHOWN


def _field(name: str, field: FieldInfo, *, secret: bool, stored: Stored | None) -> Any:
    facts: dict[str, Any] = {
        "label": field.title or name.replace("_", " ").capitalize(),
        "description": field.description or "",
        "validators": [Optional()]
        if not field.is_required() and not field.get_default(call_default_factory=True)
        else [],
    }
    if secret:
        since = None if stored is None else stored.set_at.get(name)
        if since is not None:
            kept = Markup("{} Set on {}. Leave it empty to keep it.")
            facts["description"] = kept.format(facts["description"], when(since))
        return PasswordField(**facts, render_kw={"autocomplete": "new-password"})
    plain = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
    if field.annotation is bool:
        return BooleanField(**facts)
    if offered := _offered(field.annotation):
        return SelectField(**facts, choices=[SelectChoice(one) for one in offered], validate_choice=False)
    if _is_many(field.annotation):
        named = "a line each: name = value" if _holds_names(field.annotation) else "one on each line"
        facts["description"] = f"{facts['description']} ({named})".strip()
        return TextAreaField(**facts, render_kw={**plain, "rows": 3})
    if name.endswith(TEXTS) or "\n" in str(field.default):
        return TextAreaField(**facts, render_kw={**plain, "rows": 4})
    if int in (field.annotation, *get_args(field.annotation)):
        plain["inputmode"] = "numeric"
    return StringField(**facts, render_kw=plain)


def _values(kind: type[ConnectorSettings], stored: Stored | None) -> Mapping[str, Any]:
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if not field.is_required() and name not in secret_names(kind)
    }
    return {**defaults, **({} if stored is None else stored.values)}


def _shown(value: Any) -> Any:
    """Write a value as a field shows it."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Mapping):
        pairs = ((name, one) for name, many in value.items() for one in (many if isinstance(many, list) else [many]))
        return "\n".join(f"{name} = {one}" for name, one in pairs)
    if isinstance(value, Iterable):
        return "\n".join(map(str, value))
    return str(value.value if isinstance(value, Enum) else value)


def _read(text: str, field: FieldInfo) -> object:
    """Read a value as its field shows it; what it may be is for the settings to say."""
    if not _is_many(field.annotation):
        return text.replace("\r\n", "\n").strip()  # browsers end lines as mails do
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not _holds_names(field.annotation):
        return lines
    pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition("=") for line in lines)]
    if _is_many(_mapped_to(field.annotation)):
        return {name: [value for other, value in pairs if other == name] for name, _ in pairs}
    return dict(pairs)


def _offered(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(one) for one in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(one.value) for one in annotation]
    return []


def _is_many(annotation: Any) -> bool:
    return any(get_origin(one) in (list, tuple, set, frozenset, dict) for one in (annotation, *get_args(annotation)))


def _holds_names(annotation: Any) -> bool:
    return any(get_origin(one) is dict for one in (annotation, *get_args(annotation)))


def _mapped_to(annotation: Any) -> Any:
    mapping = next(one for one in (annotation, *get_args(annotation)) if get_origin(one) is dict)
    return get_args(mapping)[1]
