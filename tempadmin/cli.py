"""The ``tempadmin`` command. Each module adds its own groups; what a setting leaves out has no command either."""

from __future__ import annotations

import functools
import gc
import os
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, overload

import click
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError

from tempadmin.errors import DomainError
from tempadmin.runtime import Runtime
from tempadmin.settings import DEFAULT_MODULES, SettingsError, load_settings

F = TypeVar("F", bound=Callable[..., Any])

GROUND_FLOOR = (
    "tempadmin.serving",
    "tempadmin.backup.cli",
    "tempadmin.accounts.cli",
    "tempadmin.audit.cli",
    "tempadmin.doctor.cli",
)

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="The data folder (default: $TEMPADMIN_DATA, else ./data).",
)


class _DurationType(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read ``24h``, ``30m``, ``90`` (seconds) or ISO 8601."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]+)([smhd]?)", str(value).strip())
        if found is not None:
            return timedelta(seconds=int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]])
        try:
            return TypeAdapter(timedelta).validate_python(value)
        except ValidationError:
            self.fail(f"{value!r} is no duration; write 24h, 30m, seconds, or ISO 8601 such as PT24H", param, ctx)


def duration_option(name: str, **kwargs: Any) -> Callable[[F], F]:
    """Return an option that takes a duration: ``24h``, ``30m``, seconds or ISO 8601."""
    return click.option(name, type=_DurationType(), **kwargs)


@overload
def with_app(command: F) -> F: ...
@overload
def with_app(*, any_schema: bool) -> Callable[[F], F]: ...
def with_app(command: F | None = None, *, any_schema: bool = False) -> F | Callable[[F], F]:
    """Give a command ``--data``, an application context, and the runtime as its first argument.

    Problems end in one line per problem on standard error: exit code 2 for settings and for a database of another
    version (unless ``any_schema``), 1 for everything else.
    """
    if command is None:
        return functools.partial(_with_app, any_schema=any_schema)
    return _with_app(command, any_schema=any_schema)


def _with_app(command: F, *, any_schema: bool) -> F:
    @data_option
    @functools.wraps(command)
    def run(*args: Any, data: Path | None, **kwargs: Any) -> Any:
        from tempadmin import schema  # noqa: PLC0415 - `--help` must not wait for the whole application
        from tempadmin.app import create_app  # noqa: PLC0415
        from tempadmin.db import db  # noqa: PLC0415
        from tempadmin.runtime import current_runtime  # noqa: PLC0415

        with reported():
            app = create_app(load_settings(data))
            with app.app_context():
                runtime: Runtime = current_runtime()
                try:
                    problem = None if any_schema else schema.why_unusable()
                    if problem is not None:
                        raise SettingsError([problem])
                    return command(runtime, *args, **kwargs)
                finally:
                    db.session.remove()
                    db.engine.dispose()

    return run  # type: ignore[return-value]


class reported:  # noqa: N801 - reads as a verb where it is used
    """Turn what people can mend into a line on standard error and an exit code; the rest stays a traceback."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Report what was raised."""
        if isinstance(error, SettingsError):
            for problem in error.problems:
                click.echo(f"error: {problem}", err=True)
            sys.exit(2)
        if isinstance(error, DomainError):
            click.echo(f"error: {error.message}", err=True)
            sys.exit(1)
        if isinstance(error, DBAPIError):
            click.echo(f"error: the database cannot be used: {error.orig}", err=True)
            click.echo("Is it running, and was it prepared? tempadmin db upgrade", err=True)
            sys.exit(1)


def add_module_commands(group: click.Group, names: tuple[str, ...]) -> None:
    """Let each module that has a ``cli`` add its commands."""
    for name in names:
        if _has_commands(name):
            import_module(f"{name}.cli").register(group)


def _has_commands(module: str) -> bool:
    """Tell whether a module is there and has a ``cli``; which ones are nonsense is for the settings to say."""
    try:
        return module.isidentifier() and find_spec(f"{module}.cli") is not None
    except ModuleNotFoundError:
        return False


def configured_modules(arguments: list[str]) -> tuple[str, ...]:
    """Return the modules that the settings name; all of them while there are no settings to read."""
    data = None
    for at, argument in enumerate(arguments):
        if argument == "--data" and at + 1 < len(arguments):
            data = Path(arguments[at + 1])
        elif argument.startswith("--data="):
            data = Path(argument.removeprefix("--data="))
    try:
        return load_settings(data).modules
    except SettingsError:
        return DEFAULT_MODULES


def build(arguments: list[str]) -> click.Group:
    """Return the command with what the configured modules add."""

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="tempadmin")
    def tempadmin() -> None:
        """Short, accountable administrator access to customers' virtual instances."""

    if arguments[:1] == ["serve"]:  # somebody waits for its first answer: no other command is imported
        import_module("tempadmin.serving").register(tempadmin)
        return tempadmin
    for name in GROUND_FLOOR:
        import_module(name).register(tempadmin)
    add_module_commands(tempadmin, configured_modules(arguments))
    return tempadmin


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("FLASK_SKIP_DOTENV", "1")
    # What is imported stays: to look through it for garbage, meanwhile or once afterwards, took a fifth of the time of
    # a start (measured).
    gc.disable()
    command = build(sys.argv[1:])
    gc.freeze()
    gc.enable()
    command(prog_name="tempadmin")
