"""``tempadmin demo``: a ready world to try everything in, on a folder of its own (design §8)."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any

import click
from blinker import Signal
from sqlalchemy import func, inspect, select

from instances.demo_poster import described, poster, program
from instances.demo_world import fill, new_world
from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.accounts.totp import code_at, seconds_to_next_step
from tempadmin.app import create_app
from tempadmin.cli import data_option, reported
from tempadmin.clock import SystemClock
from tempadmin.db import db
from tempadmin.logs import only_warnings
from tempadmin.runtime import application, current_runtime
from tempadmin.serving import serve, upgrade_database
from tempadmin.settings import ENVIRONMENT_PREFIX, TOML_NAME, Settings, SettingsError, load_settings
from tempadmin.web.context import instance_source

WORLD_NAME = "demo.json"
FIRST_PORT, LAST_PORT = 8000, 65535
BASE_URL = re.compile(r'^base_url = "http://localhost:([0-9]+)"$', re.MULTILINE)

world_made = Signal()
"""Sent with ``runtime`` and ``world`` when a new demo world has people: modules add their history."""


@click.group("demo", invoke_without_command=True)
@click.pass_context
@data_option
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 8000, or the port that the folder had before.")
@click.option("--json", "as_json", is_flag=True, help="The first line on standard output is one JSON object.")
def demo(context: click.Context, data: Path | None, port: int | None, *, as_json: bool) -> None:
    """Serve a ready demo world; the terminal says who you are there."""
    context.obj = folder = _folder(data)
    if context.invoked_subcommand is not None:
        return
    with reported():
        port = port or _former_port(folder) or FIRST_PORT
        _refuse_taken(port)
        settings, people = prepare(folder, port=port)
        world = described(settings, people)
        click.echo(json.dumps(world) if as_json else poster(settings, world))
        serve(settings, host="127.0.0.1", port=port, quietly=True)


@demo.command("codes")
@click.pass_obj
@data_option
@click.option("--json", "as_json", is_flag=True)
def codes(folder: Path, data: Path | None, *, as_json: bool) -> None:
    """Print the omniadmins' current authentication codes."""
    folder = folder if data is None else _folder(data)
    if not (folder / WORLD_NAME).exists():
        raise click.ClickException(f"there is no demo world in {folder}; run: {program()} demo --data {folder}")
    now = SystemClock().now()
    left = seconds_to_next_step(now)
    people = [
        {"email": person["email"], "code": code_at(person["totp_secret"], now), "seconds_left": left}
        for person in _world(folder)["omniadmins"]
    ]
    if as_json:
        click.echo(json.dumps(people))
        return
    for person in people:
        click.echo(f"{person['email']:<28} {person['code']}    for {person['seconds_left']} s more")


def prepare(folder: Path, *, port: int) -> tuple[Settings, dict[str, Any]]:
    """Make the folder's settings, database and people, or go on with those that are there; return both.

    Each instance is told with its present policy, which people may have changed since the world was made.

    Raises
    ------
    SettingsError
        When the folder or the database belongs to something else, or the environment would move the demo elsewhere.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "mail").mkdir(exist_ok=True)
    known = (folder / WORLD_NAME).exists()
    if (folder / TOML_NAME).exists() and not known:
        raise SettingsError([f"{folder} holds another installation; choose another folder with --data"])
    if not known:
        _write_private(folder / WORLD_NAME, json.dumps(new_world(), indent=2))
    _write_settings(folder, port=port)
    settings = load_settings(folder)
    if settings.base_url != f"http://localhost:{port}":
        raise SettingsError([f"base_url: the demo is at http://localhost:{port}; unset {ENVIRONMENT_PREFIX}BASE_URL"])
    with create_app(settings).app_context():
        only_warnings()
        try:
            # The history of a new world may mail; standard output begins with the world itself.
            with redirect_stdout(sys.stderr):
                world = _world(folder)
                _make_or_go_on(world)
                _add_policies(world, settings)
        finally:
            db.session.remove()
            db.engine.dispose()
    return settings, world


def _make_or_go_on(world: dict[str, Any]) -> None:
    _refuse_foreign_database(world)
    upgrade_database()
    if instance_source().default() is None:
        runtime = current_runtime()
        fill(world, runtime=runtime)
        world_made.send(application(), runtime=runtime, world=world)


def _add_policies(world: dict[str, Any], settings: Settings) -> None:
    rows = {row.web_id: row for row in db.session.scalars(select(VirtualInstance))}
    for one in world["instances"]:
        row = rows[one["web_id"]]
        one["require_customer"] = row.require_customer or settings.require_customer
        one["require_omniadmin"] = row.require_omniadmin or settings.require_omniadmin


def _refuse_foreign_database(world: dict[str, Any]) -> None:
    """Look before anything is written: the environment may name the database of a real installation."""
    if not inspect(db.engine).has_table(User.__tablename__):
        return
    emails = [person["email"] for person in world["omniadmins"]]
    ours = db.session.scalar(select(func.count()).where(User.email.in_(emails)))
    if ours != len(emails) and db.session.scalar(select(User.id).limit(1)) is not None:
        raise SettingsError(["database_url: this database holds another installation; the demo needs one of its own"])


def _folder(data: Path | None) -> Path:
    return (data or Path(os.environ.get(ENVIRONMENT_PREFIX + "DATA", "data"))).absolute()


def _world(folder: Path) -> dict[str, Any]:
    world: dict[str, Any] = json.loads((folder / WORLD_NAME).read_text("utf-8"))
    return world


def _former_port(folder: Path) -> int | None:
    try:
        found = BASE_URL.search((folder / TOML_NAME).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return int(found[1]) if found else None


def _write_settings(folder: Path, *, port: int) -> None:
    """Write the settings once; after that only the port in them, for people try other settings there."""
    base_url = f'base_url = "http://localhost:{port}"'
    if (folder / TOML_NAME).exists():
        before = (folder / TOML_NAME).read_text("utf-8")
        _write_private(folder / TOML_NAME, BASE_URL.sub(base_url, before))
        return
    lines = [
        "# Written by `tempadmin demo`: never use this folder for anything but trying things out.",
        base_url,
        f"secret_keys = {json.dumps(_world(folder)['keys'])}",
        'mail_url = "file:mail?announce"',
        'mail_from = "tempadmin@operator.example"',
    ]
    _write_private(folder / TOML_NAME, "\n".join(lines) + "\n")


def _write_private(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text, "utf-8")
    unfinished.replace(path)


def _refuse_taken(port: int) -> None:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            other = f"{program()} demo --port {port + 1 if port < LAST_PORT else FIRST_PORT}"
            raise SettingsError([f"port {port} {why}; choose another one, for example: {other}"]) from None
