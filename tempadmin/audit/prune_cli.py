"""``tempadmin audit prune`` and ``verify-archive``: old parts of the record go into a file, and can be proven there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tempadmin.audit import queries
from tempadmin.audit.log import Actor
from tempadmin.cli import with_app
from tempadmin.errors import NotFound
from tempadmin.runtime import Runtime
from tempadmin.web.context import instance_source

if TYPE_CHECKING:
    from tempadmin.audit.archive import Chain, Plan
    from tempadmin.audit.prune import Begun

OPERATOR = Actor(id=None, name="operator (command line)", via="command line")
SHOWN = 20


@click.command("prune")
@with_app
@click.option(
    "--before",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    required=True,
    help="What is older goes: a day (UTC), 30 days ago at least.",
)
@click.option(
    "--export",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The new file that takes what goes; nothing is deleted before it is written and verified.",
)
@click.option("--instance", "web_id", help="One instance's chain only.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(
    runtime: Runtime, before: datetime, file: Path | None, *, web_id: str | None, dry_run: bool, yes: bool
) -> None:
    """Archive the old part of the record in a file, then delete it here.

    Each chain goes on from a signed checkpoint, which audit verify checks. Nothing goes of an access that has not
    ended, nor what follows it in its chain. Killed on the way, the same command goes on where it was.
    """
    from tempadmin.audit.plan import plan_for  # noqa: PLC0415 - whoever serves pages needs none of it
    from tempadmin.audit.prune import begun_in  # noqa: PLC0415
    from tempadmin.audit.prune import prune as prune_record  # noqa: PLC0415

    if file is None and not dry_run:
        raise click.UsageError("Name a new file: --export FILE; or look first: --dry-run")
    before, instance_id = before.replace(tzinfo=UTC), None if web_id is None else _instance_of(web_id)
    begun = None if file is None else begun_in(file, before=before, instance_id=instance_id, runtime=runtime)
    plan = begun.plan if begun else plan_for(before=before, instance_id=instance_id, runtime=runtime)
    _say(plan, begun)
    if dry_run:
        _tell_chains(plan.chains[:SHOWN])
        if plan.chains[SHOWN:]:
            click.echo(f"… and of {len(plan.chains) - SHOWN} more instances.")
    if dry_run or not plan.chains or file is None:
        return
    if not yes:
        click.confirm("Delete them here once the file is written and verified?", abort=True, err=True)
    with click.progressbar(length=plan.rows * (1 if begun else 2), label="Pruning", file=sys.stderr) as bar:
        done = prune_record(plan=begun or plan, file=file, actor=OPERATOR, runtime=runtime, progress=bar.update)
    click.echo(f"{file}: {plan.events} events and {plan.activity} rows of activity. SHA-256: {done.digest}")
    click.echo(f"Deleted: {done.events} events and {done.activity} rows of activity. Each chain has a checkpoint now.")
    click.echo("Keep the file, and the secret keys: tempadmin audit verify-archive FILE proves it years later.")


@click.command("verify-archive")
@with_app(any_schema=True)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def verify_archive(runtime: Runtime, file: Path) -> None:
    """Check every line of an archive that audit prune wrote; needs the secret keys, and no database."""
    from tempadmin.audit import archive  # noqa: PLC0415 - whoever serves pages needs none of it

    plan, digest = archive.read(file, runtime.keys)
    _tell_chains(plan.chains)
    click.echo(f"It holds. SHA-256: {digest}")


def _tell_chains(chains: Sequence[Chain]) -> None:
    for chain in chains:
        click.echo(f"{chain.name}: events {chain.start} to {chain.end}, {chain.activity} rows of activity")


def _instance_of(web_id: str) -> int:
    for instance_id in queries.instance_ids():
        instance = instance_source().by_id(instance_id)
        if instance is not None and instance.web_id == web_id:
            return instance_id
    raise NotFound(f"There is no record of an instance {web_id}.")


def _say(plan: Plan, begun: Begun | None) -> None:
    what = f"{plan.events} events and {plan.activity} rows of activity of {len(plan.chains)} instances"
    if begun is not None:
        click.echo(f"Going on: the file holds {what}, from before {plan.before:%Y-%m-%d}.")
    elif plan.chains:
        click.echo(f"To go: {what}, from before {plan.before:%Y-%m-%d}.")
    else:
        click.echo(f"Nothing to do: no record from before {plan.before:%Y-%m-%d} that may go.")
