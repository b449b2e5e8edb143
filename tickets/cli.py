"""What on-demand access adds to the command line, three of it to ``instance``: ``policy``, ``client``, ``check``."""

from __future__ import annotations

import json
import sys
from datetime import timedelta

import click

from instances.cli import instance
from tempadmin.cli import duration_option, with_app
from tempadmin.runtime import Runtime
from tickets.access_cli import access
from tickets.check_cli import check
from tickets.drill_cli import drill
from tickets.policy_cli import policy
from tickets.provider.cli import client, oidc
from tickets.sweep import ONLY_TOLD, find_leftovers, sweep


def register(group: click.Group) -> None:
    """Add the commands; ``instance`` becomes a copy with three more, for without this module nothing has them."""
    group.add_command(access)
    group.add_command(cleanup)
    group.add_command(drill)
    group.add_command(oidc)
    added = {"policy": policy, "client": client, "check": check}
    group.add_command(click.Group("instance", commands={**instance.commands, **added}, help=instance.help))


@click.command("cleanup")
@with_app
@duration_option("--min-age", help="Leave younger leftovers to the other paths (default: cleanup_min_age).")
@click.option("--dry-run", is_flag=True, help="List what would be removed, and why; change nothing.")
@click.option("--json", "as_json", is_flag=True)
def cleanup(runtime: Runtime, min_age: timedelta | None, *, dry_run: bool, as_json: bool) -> None:
    """Remove whatever the other paths left behind."""
    age = runtime.settings.cleanup_min_age if min_age is None else min_age
    if dry_run:
        found = list(find_leftovers(min_age=age, runtime=runtime))
        if as_json:
            rows = [
                {"account": one.account_name, "since": one.since and one.since.isoformat(), "why": one.why}
                for one in found
            ]
            click.echo(json.dumps(rows, ensure_ascii=False))
            return
        for one in found:
            since = f" since {one.since:%Y-%m-%d %H:%M} UTC" if one.since else ""
            click.echo(f"{one.account_name:<40}{since}: {one.why}")
        number = sum(one.kind not in ONLY_TOLD for one in found)
        click.echo(f"{number} would be removed." if number else "Nothing is left over.")
        return
    swept = sweep(min_age=age, runtime=runtime)
    if as_json:
        click.echo(json.dumps({"removed": swept.gone, "found": swept.found, "left_alone": swept.told}))
    else:
        click.echo("\n".join([f"{swept.gone} of {swept.found} leftovers removed.", *swept.told]))
    if swept.gone < swept.found:
        sys.exit(1)
