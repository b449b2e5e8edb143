"""``tempadmin demo``: a ready world to try everything in, on a folder of its own (design §8)."""

from __future__ import annotations

import json
import secrets
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from blinker import Signal

from instances.demo_world import CONSOLE_ID, CONSOLE_NAME, CUSTOMERS, OMNIADMINS, fill
from instances.registry import create_default
from tempadmin.accounts.totp import code_at, new_seed
from tempadmin.app import create_app
from tempadmin.audit.log import SERVICE
from tempadmin.cli import data_option, reported
from tempadmin.clock import SystemClock
from tempadmin.logs import only_warnings
from tempadmin.runtime import Runtime, application, current_runtime
from tempadmin.serving import serve, upgrade_database
from tempadmin.settings import TOML_NAME, Settings, SettingsError, load_settings
from tempadmin.web.context import instance_source

WORLD_NAME = "demo.json"

world_made = Signal()
"""Sent with ``runtime`` and ``world`` when a new demo world has people: modules add their history."""


@click.group("demo", invoke_without_command=True)
@click.pass_context
@data_option
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--json", "as_json", is_flag=True, help="The first line on standard output is one JSON object.")
def demo(context: click.Context, data: Path | None, port: int, *, as_json: bool) -> None:
    """Serve a ready demo world; the terminal says who you are there."""
    if context.invoked_subcommand is not None:
        return
    with reported():
        folder = (data or Path("demo-data")).absolute()
        _refuse_taken(port)
        settings = prepare(folder, port=port)
        world = _described(settings, json.loads((folder / WORLD_NAME).read_text("utf-8")))
        click.echo(json.dumps(world) if as_json else _poster(settings, world))
        only_warnings()
        serve(settings, host="127.0.0.1", port=port)


@demo.command("codes")
@data_option
def codes(data: Path | None) -> None:
    """Print the omniadmins' current authentication codes."""
    folder = (data or Path("demo-data")).absolute()
    if not (folder / WORLD_NAME).exists():
        raise click.ClickException(f"there is no demo world in {folder}; run: tempadmin demo --data {folder}")
    for person in json.loads((folder / WORLD_NAME).read_text("utf-8"))["omniadmins"]:
        click.echo(f"{person['email']:<28} {code_at(person['totp_secret'], SystemClock().now())}")


def prepare(folder: Path, *, port: int) -> Settings:
    """Make the folder's settings, database and people, or go on with those that are there.

    Raises
    ------
    SettingsError
        When the folder belongs to something else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "mail").mkdir(exist_ok=True)
    known = (folder / WORLD_NAME).exists()
    if (folder / TOML_NAME).exists() and not known:
        raise SettingsError([f"{folder} holds another installation; choose another folder with --data"])
    if not known:
        _write_private(folder / WORLD_NAME, json.dumps(_new_world(), indent=2))
    _write_settings(folder, port=port)
    settings = load_settings(folder)
    app = create_app(settings)
    with app.app_context():
        upgrade_database()
        if instance_source().default() is None:
            world = json.loads((folder / WORLD_NAME).read_text("utf-8"))
            _make(world, current_runtime())
    return settings


def _make(world: dict[str, Any], runtime: Runtime) -> None:
    create_default(web_id=CONSOLE_ID, name=CONSOLE_NAME, actor=SERVICE, runtime=runtime)
    fill(world, runtime=runtime)
    world_made.send(application(), runtime=runtime, world=world)


def _new_world() -> dict[str, Any]:
    people = [
        {"email": email, "name": name, "password": _password(), "totp_secret": new_seed()} for email, name in OMNIADMINS
    ]
    instances = [
        {
            "web_id": web_id,
            "name": name,
            "administrators": [
                {"email": f"{administrator[0]}@{domain}", "name": administrator[1], "password": _password()}
            ],
            "members": [{"email": f"{user}@{domain}", "name": full, "password": _password()} for user, full in members],
        }
        for web_id, name, domain, administrator, members in CUSTOMERS
    ]
    return {"keys": [secrets.token_urlsafe(48)], "omniadmins": people, "instances": instances}


def _write_settings(folder: Path, *, port: int) -> None:
    world = json.loads((folder / WORLD_NAME).read_text("utf-8"))
    lines = [
        "# Written by `tempadmin demo`: never use this folder for anything but trying things out.",
        f'base_url = "http://localhost:{port}"',
        f"secret_keys = {json.dumps(world['keys'])}",
        'mail_url = "file:mail?announce"',
        'mail_from = "tempadmin@operator.example"',
    ]
    _write_private(folder / TOML_NAME, "\n".join(lines) + "\n")


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")


def _described(settings: Settings, world: dict[str, Any]) -> dict[str, Any]:
    """Return the world as ``--json`` prints it."""
    port = settings.base_url.rpartition(":")[2]

    def public(people: list[dict[str, str]]) -> list[dict[str, str]]:
        return [{name: value for name, value in one.items() if name != "name"} for one in people]

    return {
        "console": settings.base_url,
        "mail_dir": str(settings.data / "mail"),
        "omniadmins": public(world["omniadmins"]),
        "instances": [
            {
                "web_id": one["web_id"],
                "name": one["name"],
                "url": f"http://{one['web_id']}.localhost:{port}",
                "require_customer": False,
                "require_omniadmin": False,
                "administrators": public(one["administrators"]),
                "members": public(one["members"]),
            }
            for one in world["instances"]
        ],
    }


def _poster(settings: Settings, world: dict[str, Any]) -> str:
    now, folder = SystemClock().now(), settings.data
    lines = ["", f"  Console    {world['console']}    (the operator's own instance)", ""]
    for person in world["omniadmins"]:
        code = code_at(person["totp_secret"], now)
        lines += [
            f"    {person['email']:<24} password {person['password']}",
            f"    {'':<24} TOTP secret {person['totp_secret']}, code now {code}",
        ]
    lines += ["", "  Customers' instances, each with an administrator and two members", ""]
    for one in world["instances"]:
        lines.append(f"    {one['name']:<16} {one['url']}")
        for person in one["administrators"]:
            lines.append(f"      administrator  {person['email']:<26} password {person['password']}")
        for person in one["members"]:
            lines.append(f"      member         {person['email']:<26} password {person['password']}")
    names = " ".join(f"{one['web_id']}.localhost" for one in world["instances"])
    lines += [
        "",
        f"  Codes       tempadmin demo codes --data {folder}    (a code works once; the next comes within 30 s)",
        f"  Mails       {world['mail_dir']}    (subject and link also appear below)",
        "  Browser     Chrome or Firefox, which find *.localhost by themselves. Any other: add to the hosts file",
        f"                127.0.0.1 {names}",
        "              Use a private window for the customer's side, so that both can be signed in at once.",
        "  Stop        Ctrl-C. The same folder goes on where you left it.",
        "",
    ]
    return "\n".join(lines)


def _refuse_taken(port: int) -> None:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SettingsError([f"port {port} is taken; choose another one with --port"]) from None


def _password() -> str:
    words = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jasper", "kelp", "larch")
    return "-".join([*(secrets.choice(words) for _ in range(3)), secrets.token_hex(3)])
