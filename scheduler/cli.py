"""Commands of the scheduler."""

from __future__ import annotations

import click

from scheduler import machines
from scheduler.process import run_forever
from tempadmin.cli import with_app
from tempadmin.runtime import Runtime, application


def register(group: click.Group) -> None:
    """Add ``tempadmin scheduler``."""
    group.add_command(scheduler)


@click.group()
def scheduler() -> None:
    """What happens by itself."""


@scheduler.command()
@with_app
def run(runtime: Runtime) -> None:
    """Run jobs until SIGTERM or Ctrl-C; for the setting `scheduler = external`."""
    machines.refuse_a_second(runtime)
    run_forever(application())
