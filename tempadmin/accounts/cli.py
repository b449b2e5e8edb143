"""``tempadmin omniadmin``: the people who may ask for access."""

from __future__ import annotations

import json

import click
from sqlalchemy import select

from tempadmin.accounts import invitations, omniadmins
from tempadmin.accounts.models import OMNIADMIN, SecondFactor, User
from tempadmin.cli import with_app
from tempadmin.db import db
from tempadmin.errors import Conflict
from tempadmin.runtime import Runtime
from tempadmin.web.context import InstanceInfo, instance_source


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(omniadmin)


@click.group()
def omniadmin() -> None:
    """Create, list and disable omniadmins; give one a new second factor."""


@omniadmin.command("create")
@with_app
@click.option("--email", required=True)
@click.option("--name", required=True, help="The full name, as customers will see it.")
def create(runtime: Runtime, email: str, name: str) -> None:
    """Create an omniadmin and print the one-time link that enrols their second factor."""
    home = _home()
    key = omniadmins.create_omniadmin(instance_id=home.id, email=email, full_name=name, runtime=runtime)
    _print_link(home, key)


@omniadmin.command("list")
@with_app
@click.option("--json", "as_json", is_flag=True)
def list_all(runtime: Runtime, as_json: bool) -> None:  # noqa: FBT001
    """List omniadmins."""
    rows = db.session.execute(
        select(User, SecondFactor.id)
        .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
        .where(User.role == OMNIADMIN, User.instance_id == _home().id)
        .order_by(User.id)
    ).all()
    people = [
        {
            "id": user.id,
            "email": user.email,
            "name": user.full_name,
            "active": user.active,
            "second_factor": bool(factor),
        }
        for user, factor in rows
    ]
    if as_json:
        click.echo(json.dumps(people))
        return
    for person in people:
        state = "active" if person["active"] else "disabled"
        factor = "second factor" if person["second_factor"] else "not enrolled yet"
        click.echo(f"{person['id']:>6}  {person['email']:<40} {person['name']:<30} {state}, {factor}")


@omniadmin.command("disable")
@with_app
@click.argument("email")
def disable(runtime: Runtime, email: str) -> None:
    """Disable an omniadmin; their sessions and open accesses end at once."""
    omniadmins.disable_omniadmin(instance_id=_home().id, email=email, runtime=runtime)
    click.echo(f"{email} is disabled. All their sessions and open accesses ended.")


@omniadmin.command("reset-factor")
@with_app
@click.argument("email")
def reset_factor(runtime: Runtime, email: str) -> None:
    """Print a one-time link that enrols a new second factor in the place of a lost one."""
    home = _home()
    key = omniadmins.reset_factor(instance_id=home.id, email=email, runtime=runtime)
    _print_link(home, key)


def _print_link(home: InstanceInfo, key: str) -> None:
    click.echo("Hand this link over in person or by a safe way. It works once, for three days:\n")
    click.echo(invitations.link(home, key))


def _home() -> InstanceInfo:
    home = instance_source().default()
    if home is None:
        raise Conflict("There is no default instance yet. Run: tempadmin instance create --default --name NAME")
    return home
