"""``tempadmin audit``: check, export and prune the record."""

from __future__ import annotations

import json
import sys

import click

from tempadmin.audit import prune_cli, queries
from tempadmin.audit.export import as_dict
from tempadmin.cli import with_app
from tempadmin.db import db, snapshot
from tempadmin.runtime import Runtime
from tempadmin.web.context import instance_source


def register(group: click.Group) -> None:
    """Add the commands."""
    audit.add_command(prune_cli.prune)
    audit.add_command(prune_cli.verify_archive)
    group.add_command(audit)


@click.group()
def audit() -> None:
    """Check, export and prune the record."""


def _head(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int, str] | None:
    if value is None:
        return None
    parts = value.split(":")
    if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()):
        raise click.BadParameter("must be INSTANCE:NUMBER:HASH, as the job audit-heads logs it")
    return int(parts[0]), int(parts[1]), parts[2]


@audit.command("verify")
@with_app
@click.option("--expect-head", callback=_head, help="INSTANCE:NUMBER:HASH from the log: finds a cut tail too.")
def verify(runtime: Runtime, expect_head: tuple[int, int, str] | None) -> None:
    """Walk every chain; exit code 1 and a line per fault when one does not hold."""
    with snapshot():  # the service writes meanwhile, and may be pruned
        ids = queries.instance_ids()
        if expect_head is not None and expect_head[0] not in ids:
            ids.append(expect_head[0])
        found = sum(_faults_of(one, runtime, expect_head) for one in ids)
    if found:
        click.echo(f"{found} faults in {len(ids)} chains.", err=True)
        sys.exit(1)
    click.echo(f"{len(ids)} chains hold.")


def _faults_of(instance_id: int, runtime: Runtime, expect_head: tuple[int, int, str] | None) -> int:
    """Print the faults of one chain; return how many."""
    instance, found = instance_source().by_id(instance_id), 0
    name = instance.web_id if instance else f"instance {instance_id}"
    expected = expect_head[1:] if expect_head and expect_head[0] == instance_id else None
    for fault in queries.verify(instance_id=instance_id, runtime=runtime, expected=expected):
        click.echo(f"{name}: event {fault.number}: {fault.message}")
        found += 1
    return found


@audit.command("export")
@with_app
@click.option("--instance", "web_id", help="One instance's chain only.")
def export(_runtime: Runtime, web_id: str | None) -> None:
    """Print the events as JSON, one a line, oldest first."""
    for instance_id in queries.instance_ids():
        instance = instance_source().by_id(instance_id)
        if web_id is None or (instance is not None and instance.web_id == web_id):
            query = queries.events(instance_id=instance_id).order_by(None).order_by("number")
            with snapshot():
                for event in db.session.scalars(query.execution_options(yield_per=queries.CHUNK)):
                    click.echo(json.dumps(as_dict(event), ensure_ascii=False))
