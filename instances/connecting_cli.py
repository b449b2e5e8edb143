"""What the commands that connect an instance have in common: the file of settings, its template, and what is said."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo

from instances import connecting
from instances.connecting import find_customer, stored_of
from instances.connection_trial import settings_of
from instances.connectors.base import ConnectorError
from instances.connectors.registry import connector_for
from instances.connectors.settings import ConnectorSettings, WrongSettings, is_place, secret_names
from instances.registry import create_instance
from tempadmin.errors import DomainError, NotFound

VARIABLE = "TEMPADMIN_CONNECTION_"
WIDTH = 118

settings_option = click.option(
    "--settings",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file with the connector's settings; its template: tempadmin instance settings KIND.",
)
same_directory_option = click.option(
    "--same-directory",
    is_flag=True,
    help="It is the directory of before at another address: accounts of ours that are in it are looked for there.",
)
without_trying_option = click.option(
    "--without-trying", is_flag=True, help="Save it although the directory cannot be tried now."
)


def connect(connector: str, file: Path | None, *, web_id: str, **facts: Any) -> None:
    """Connect an instance as ``connect_instance`` does, or say what is wrong and end with exit code 1."""
    with _reported("Nothing was saved."):
        values = _given(connector, file, web_id=web_id)
        connecting.connect_instance(web_id=web_id, connector=connector, values=values, tell=tell, **facts)


def create(connector: str, file: Path | None, *, try_first: bool, **facts: Any) -> None:
    """Create a customer's instance, connected where it says so, or say what is wrong and end with exit code 1."""
    if connector == "local" and file is None:
        create_instance(**facts)
        return
    with _reported("Nothing was created."):
        values = _given(connector, file)
        connecting.create_connected(connector=connector, values=values, tell=tell, try_first=try_first, **facts)


def _given(connector: str, file: Path | None, *, web_id: str | None = None) -> dict[str, object]:
    """Return a connection's settings: a file's, else those that an instance has; and secrets from the environment.

    Raises
    ------
    WrongSettings
        When the file, or one that it names, cannot be read.
    ConnectorError
        When there is no such connector, or its library is missing.
    """
    kind = settings_of(connector_for(connector))
    values: dict[str, object] = {}
    if file is not None:
        values = dict(_read(file))
    elif web_id is not None:
        present = stored_of(find_customer(web_id), connector)
        values = {} if present is None else dict(present.values)
    secrets = set() if kind is None else set(secret_names(kind))
    return values | {name: text for name in secrets if (text := os.environ.get(VARIABLE + name.upper()))}


@contextmanager
def _reported(outcome: str) -> Iterator[None]:
    """End with a line for each setting that is wrong, or for the first step that failed, and exit code 1."""
    try:
        yield
    except (WrongSettings, ConnectorError, DomainError) as error:
        for line in wrong(error):
            click.echo(f"error: {line}", err=True)
        click.echo(outcome, err=True)
        sys.exit(1)


def wrong(error: WrongSettings | ConnectorError | DomainError) -> list[str]:
    """Return a line for each thing that is wrong, the setting before it where one is."""
    if isinstance(error, WrongSettings):
        return [f"{name}: {problem}" for name, problem in error.problems.items()]
    if isinstance(error, ConnectorError):
        return [f"{error.setting}: {error}" if error.setting else str(error)]
    return [error.message]


def tell(step: str) -> None:
    """Print a step that went well."""
    click.echo(f"ok  {step}")


def template(connector: str) -> str:
    """Return a commented TOML file with all settings of a connector; what may be left out is commented out.

    Raises
    ------
    NotFound
        When there is no such connector, or its library is missing.
    """
    try:
        kind = settings_of(connector_for(connector))
    except ConnectorError as error:
        raise NotFound(f"{error}.") from None
    if kind is None:
        return f'# The connector "{connector}" has no settings.'
    parts = [_comment(f'Settings of the connector "{connector}". {_first_line(kind)}')]
    parts += [_setting(kind, name, field) for name, field in kind.model_fields.items()]
    return "\n\n".join(parts)


def _setting(kind: type[ConnectorSettings], name: str, field: FieldInfo) -> str:
    said = [field.description or field.title or ""]
    if name in secret_names(kind):
        said.append(f'Secret: also {{ file = "…" }}, or the variable {VARIABLE}{name.upper()}.')
    if is_place(kind, name):
        said.append("It cannot change while accounts of ours may be there.")
    said.append("Required." if field.is_required() else "")
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    lines = f"{name} = {_toml(default)}".splitlines()
    mark = "" if field.is_required() else "#"
    return "\n".join([_comment(" ".join(filter(None, said))), *(mark + line for line in lines)])


def _read(file: Path) -> Mapping[str, object]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WrongSettings({"settings": f"{file} cannot be read: {error}"}) from None
    read, problems = {}, {}
    for name, value in values.items():
        if isinstance(value, dict) and value.keys() == {"file"}:
            path = file.parent / Path(str(value["file"])).expanduser()
            try:
                read[name] = path.read_text("utf-8").strip()
            except OSError as error:
                problems[name] = f"{path} cannot be read: {error.strerror}"
            except ValueError:
                problems[name] = f"{path} is no text"
        else:
            read[name] = value
    if problems:
        raise WrongSettings(problems)
    return read


def _first_line(kind: type[ConnectorSettings]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _comment(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _toml(value: Any) -> str:
    """Write a value as TOML, whose texts, numbers and lists are those of JSON."""
    plain = json.loads(json.dumps(value, default=str))
    if isinstance(plain, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(one)}" for name, one in plain.items()) + " }"
    if isinstance(plain, list):
        return "[" + ", ".join(_toml(one) for one in plain) + "]"
    if isinstance(plain, str) and "\n" in plain:
        return '"""\n' + plain.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + '"""'
    return '""' if plain is None else json.dumps(plain, ensure_ascii=False)
