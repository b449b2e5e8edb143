"""``tempadmin instance``, ``tempadmin user`` and ``tempadmin demo``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from instances import connecting_cli, directory, importing, inviting, queries, registry
from instances.demo import demo
from instances.hosts import instance_url
from instances.models import VirtualInstance
from tempadmin.accounts import invitations
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, User
from tempadmin.accounts.people import normalised_email
from tempadmin.audit.log import Actor
from tempadmin.cli import with_app
from tempadmin.db import db
from tempadmin.errors import NotFound
from tempadmin.runtime import Runtime
from tempadmin.web.context import instance_source

OPERATOR = Actor(id=None, name="operator (command line)")


def register(group: click.Group) -> None:
    """Add the commands; whoever adds to ``instance`` may have come first."""
    if instance.name not in group.commands:
        group.add_command(instance)
    group.add_command(user)
    group.add_command(demo)


@click.group()
def instance() -> None:
    """Create, connect, list, import and archive virtual instances."""


@instance.command("create")
@with_app
@click.option("--web-id", required=True, help="A short name for addresses and commands; it never changes.")
@click.option("--name", required=True, help="The name that people read.")
@click.option("--host", help="The host name on which the instance answers.")
@click.option("--default", "is_default", is_flag=True, help="The operator's own instance, at base_url; exactly one.")
@click.option(
    "--connector", default="local", help="Where its accounts are kept: scim, ldap, postgresql (default: here)."
)
@connecting_cli.settings_option
@connecting_cli.without_trying_option
def create(
    runtime: Runtime,
    web_id: str,
    name: str,
    host: str | None,
    *,
    is_default: bool,
    connector: str,
    file: Path | None,
    without_trying: bool,
) -> None:
    """Create an instance; with --connector it is connected to its product's directory, or not created at all."""
    if is_default == (host is not None):
        raise click.UsageError("give --host for a customer's instance, or --default for your own")
    if is_default and connector != "local":
        raise click.UsageError("nobody gets an account on the default instance, so it is connected to nothing")
    if host is None:
        registry.create_default(web_id=web_id, name=name, actor=OPERATOR, runtime=runtime)
    else:
        facts: dict[str, Any] = {"web_id": web_id, "name": name, "host": host, "actor": OPERATOR, "runtime": runtime}
        connecting_cli.create(connector, file, try_first=not without_trying, **facts)
    row = db.session.scalars(select(VirtualInstance).where(VirtualInstance.web_id == web_id)).one()
    click.echo(f"{row.name} answers at {instance_url(row, runtime.settings)}")


@instance.command("connect")
@with_app
@click.argument("web_id")
@click.option("--connector", required=True, help="scim, ldap, postgresql; or local: accounts are kept here again.")
@connecting_cli.settings_option
@connecting_cli.without_trying_option
@connecting_cli.same_directory_option
def connect(
    runtime: Runtime, web_id: str, connector: str, *, file: Path | None, without_trying: bool, same_directory: bool
) -> None:
    """Connect an instance to its product's directory, or change how.

    The directory is tried first, and nothing is saved unless all of it went well. A secret that is not given stays as
    it is while the directory is the same. Without --settings only secrets from the environment change.
    """
    facts: dict[str, Any] = {"web_id": web_id, "actor": OPERATOR, "runtime": runtime}
    facts |= {"try_first": not without_trying, "same_directory": same_directory}
    connecting_cli.connect(connector, file, **facts)
    click.echo(f"{web_id} is connected ({connector}).")


@instance.command("settings")
@with_app
@click.argument("connector")
def settings(_runtime: Runtime, connector: str) -> None:
    """Print the settings of a connector as a TOML file: what each means, and its default."""
    click.echo(connecting_cli.template(connector))


@instance.command("list")
@with_app
@click.option("--search", default="", help="Part of a name, web id or host.")
@click.option("--json", "as_json", is_flag=True)
def list_all(runtime: Runtime, search: str, *, as_json: bool) -> None:
    """List customers' instances; their policies are their own, and the settings add to them."""
    rows = [
        {
            "web_id": row.web_id,
            "name": row.name,
            "url": instance_url(row, runtime.settings),
            "connector": row.connector,
            "require_customer": row.require_customer,
            "require_omniadmin": row.require_omniadmin,
            "max_duration_seconds": row.max_duration_seconds,
        }
        for row in db.session.scalars(queries.customers(search=search))
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['web_id']:<24} {row['name']:<36} {row['url']}")
    if not rows:
        click.echo("No instance fits.")


@instance.command("import")
@with_app
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--skip-bad", is_flag=True, help="Import the good lines although others are bad.")
def import_file(runtime: Runtime, file: Path, *, skip_bad: bool) -> None:
    """Import instances from a CSV file with the columns web_id, name and host."""
    with (
        file.open(encoding="utf-8-sig", errors="replace", newline="") as lines,
        click.progressbar(length=file.stat().st_size, label="Checking", file=sys.stderr) as bar,
    ):
        good, bad = importing.read(_counted(lines, bar.update), runtime=runtime)
    for line, problem in bad:
        click.echo(f"line {line}: {problem}", err=True)
    if bad and not skip_bad:
        click.echo("Nothing was imported. Correct these lines, or use --skip-bad.", err=True)
        raise SystemExit(1)
    with click.progressbar(length=len(good), label="Importing", file=sys.stderr) as bar:
        importing.write(good, actor=OPERATOR, runtime=runtime, progress=bar.update)
    click.echo(f"{len(good)} instances imported." + (f" {len(bad)} lines skipped." if bad else ""))


@instance.command("archive")
@with_app
@click.argument("web_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def archive(runtime: Runtime, web_id: str, *, yes: bool) -> None:
    """Archive an instance: it answers no more, and all accesses to it end at once."""
    row = _find(web_id)
    if row.archived_at is None and not row.is_default and not yes:
        people, sessions = queries.what_ends(instance_id=row.id, now=runtime.now())
        click.echo(f"{row.name} will answer no more at {instance_url(row, runtime.settings)}, for good.", err=True)
        click.echo(f"Its accounts ({people}) can sign in no more. Sessions that end now: {sessions}.", err=True)
        click.confirm("Archive it?", abort=True, err=True)
    registry.archive_instance(web_id=web_id, actor=OPERATOR, runtime=runtime)
    click.echo(f"{web_id} is archived.")


@click.group()
def user() -> None:
    """Invite, list and disable the people of an instance."""


@user.command("invite")
@with_app
@click.option("--instance", "web_id", required=True)
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--administrator", is_flag=True, help="Let the person manage people and settings there.")
def invite(runtime: Runtime, web_id: str, email: str, name: str, *, administrator: bool) -> None:
    """Invite a person by mail; where there is no mail, print the link this once."""
    role = ADMINISTRATOR if administrator else MEMBER
    invited = inviting.invite(acting=_acting(web_id), email=email, full_name=name, role=role, runtime=runtime)
    click.echo(f"{email} is invited.")
    there = instance_source().by_id(_find(web_id).id)
    if runtime.settings.mail == "none" and there is not None:
        click.echo("No mail goes out here. Hand this link over by a safe way. It works once, for three days:\n")
        click.echo(invitations.link(there, invited.key))


@user.command("list")
@with_app
@click.option("--instance", "web_id", required=True)
@click.option("--json", "as_json", is_flag=True)
def list_people(_runtime: Runtime, web_id: str, *, as_json: bool) -> None:
    """List the people of an instance."""
    rows = [
        {"id": row.id, "email": row.email, "name": row.full_name, "role": row.role, "active": row.active}
        for row in db.session.scalars(queries.people(instance_id=_find(web_id).id))
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        state = "active" if row["active"] else "disabled"
        click.echo(f"{row['id']:>6}  {row['email']:<40} {row['name']:<30} {row['role']}, {state}")


@user.command("disable")
@with_app
@click.option("--instance", "web_id", required=True)
@click.argument("email")
def disable(runtime: Runtime, web_id: str, email: str) -> None:
    """Disable a person; their sessions end at once."""
    acting, address = _acting(web_id), normalised_email(email)
    user_id = db.session.scalar(
        queries.visible(instance_id=acting.instance_id).where(User.email == address).with_only_columns(User.id)
    )
    if user_id is None:
        raise NotFound(f"There is no {email} at {web_id}.")
    directory.deactivate(acting=acting, user_id=user_id, runtime=runtime)
    click.echo(f"{email} is disabled.")


def _counted(lines: Iterable[str], progress: Callable[[int], None]) -> Iterator[str]:
    for line in lines:
        progress(len(line.encode()))
        yield line


def _find(web_id: str) -> VirtualInstance:
    row = db.session.scalars(select(VirtualInstance).where(VirtualInstance.web_id == web_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no instance {web_id}.")
    return row


def _acting(web_id: str) -> directory.Acting:
    return directory.Acting(user_id=None, instance_id=_find(web_id).id, actor=OPERATOR, request_id=None)
