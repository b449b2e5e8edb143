"""``tempadmin backup``, ``restore`` and ``db restored``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tempadmin.audit.log import Actor
from tempadmin.backup import copying, mark
from tempadmin.backup.anew import Anew, begin_anew, left_over
from tempadmin.backup.copying import Contents, Progress
from tempadmin.backup.restore import Restored
from tempadmin.backup.restore import restore as restore_copy
from tempadmin.cli import with_app
from tempadmin.db import db
from tempadmin.runtime import Runtime, application
from tempadmin.serving import database_commands

OPERATOR = Actor(id=None, name="operator (command line)")
void_option = click.option(
    "--void-recovery-codes", is_flag=True, help="Make every unused recovery code void too: after a break-in."
)
file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(backup)
    group.add_command(restore)
    database_commands.add_command(restored)


@click.command("backup")
@with_app(any_schema=True)
@file_argument
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def backup(runtime: Runtime, file: Path, *, force: bool) -> None:
    """Copy the embedded database to FILE, while the service runs. Keep the secret keys elsewhere: it needs them."""
    with _progress("Copying") as progress:
        found = copying.back_up(target=file, force=force, runtime=runtime, progress=progress)
    click.echo(f"{file}: {_holds(found)}.")
    for doubt in found.doubts:
        click.echo(f"warning: {doubt}; run: tempadmin doctor", err=True)


@click.command("restore")
@with_app(any_schema=True)
@file_argument
@void_option
def restore(runtime: Runtime, file: Path, *, void_recovery_codes: bool) -> None:
    """Put the copy FILE in the place of the embedded database; the service must be stopped.

    Whatever was under way in it ends: accesses, sign-ins, links. The former database is kept beside it.
    """
    with _progress("Copying") as progress:
        done = restore_copy(
            source=file,
            actor=OPERATOR,
            runtime=runtime,
            progress=progress,
            void_recovery_codes=void_recovery_codes,
        )
    click.echo(f"Restored from {file}: {_holds(done.contents)}.")
    if done.replaced is not None:
        click.echo(f"The former database is kept as {done.replaced}.")
    _say(done.anew)
    _say_lost(done)
    _say_left(runtime)


@click.command("restored")
@with_app
@void_option
def restored(runtime: Runtime, *, void_recovery_codes: bool) -> None:
    """Begin anew, after pg_restore, a point-in-time recovery or a machine's snapshot.

    Whatever was under way in the database ends: accesses, sign-ins, links. So nothing that had ended lives on.
    """
    kept = mark.read(runtime.settings.data)
    with db.engine.connect() as connection:
        seen = kept if kept is not None and mark.is_older(connection, than=kept) else None
    done = begin_anew(actor=OPERATOR, runtime=runtime, seen=seen, void_recovery_codes=void_recovery_codes)
    with db.engine.connect() as connection:
        now = mark.highest(connection)
    if now is not None:
        mark.write(runtime.settings.data, now)
    if done is None:
        click.echo("The service noticed by itself a moment ago; the log says what it did.")
        return
    _say(done)
    _say_left(runtime)


def _holds(found: Contents) -> str:
    newest = f", the newest of {found.newest_event:%Y-%m-%d %H:%M:%S} UTC" if found.newest_event else ""
    return (
        f"revision {found.revision}, {found.people} people, "
        f"{found.events} audit events in {found.chains} chains{newest}"
    )


def _say(anew: Anew) -> None:
    ended = ", ".join(f"{name} {number}" for name, number in anew.ended.items() if number) or "nothing was under way"
    click.echo(f"Began anew, and ended: {ended}.")
    if anew.seen is not None:
        click.echo(f"Lost: the audit events after id {anew.highest}, up to id {anew.seen.id} at least.")
    click.echo(
        "Passwords, roles, second factors and unused recovery codes are as they were when the copy was made: look at "
        "who was disabled or changed since (tempadmin omniadmin list). Invitations have to be sent again."
    )


def _say_lost(done: Restored) -> None:
    """What has changed since, from the record of the former database."""
    if done.lost is None:
        click.echo("What has changed since cannot be told: the former database is missing, damaged or another one.")
    elif done.lost:
        kinds = ", ".join(f"{event} {number}" for event, number in done.lost.items())
        click.echo(f"Changed since, and lost with the former database: {kinds}.")
        click.echo(f"To read it: TEMPADMIN_DATABASE_URL=sqlite:///{done.replaced} tempadmin audit export")
    else:
        click.echo("Nothing has changed since.")


def _say_left(runtime: Runtime) -> None:
    """What the directories hold that should be gone; the service removes it."""
    for look in left_over(application()):
        for line in look(runtime):
            click.echo(f"To be removed: {line}")


@contextmanager
def _progress(label: str) -> Iterator[Progress]:
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show
