"""``tempadmin drill``: what happens when an account cannot be removed, tried out before it happens."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import click
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from instances.connectors.drill import DRILL, DrillConnector, Fault
from instances.connectors.registry import connectors
from instances.registry import create_default
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.accounts.people import add_user
from tempadmin.app import create_app
from tempadmin.audit.log import SERVICE, Actor
from tempadmin.cli import duration_option, reported, with_app
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tempadmin.logs import only_warnings
from tempadmin.runtime import Runtime, current_runtime
from tempadmin.serving import upgrade_database
from tempadmin.settings import Settings
from tickets import drill as drills
from tickets import drill_live, queries
from tickets.access_cli import COMMAND_LINE, named_person
from tickets.drill import Walked

FAULTS = click.Choice([fault.value for fault in Fault])


@click.group()
def drill() -> None:
    """Meet a directory on a bad day: see that nothing is left, and what it looks like when something is.

    The faults: it refuses; hangs; times-out, and does it later; says done and does-nothing; does-it-and-errs; makes
    the account under an other-id; makes it twice; dies-half-way.
    """


@drill.command("run")
@click.argument("faults", nargs=-1, type=FAULTS)
def run(faults: tuple[str, ...]) -> None:
    """Walk each fault through in a folder of its own; nothing of this installation is touched.

    Hours pass in seconds: time is passed in. Exit code 0 when nothing was left behind.
    """
    failed = 0
    with reported(), _scratch() as (runtime, clock, requester):
        for fault in (Fault(name) for name in faults or tuple(Fault)):
            for phase in drills.phases_of(fault):
                walked = drills.walk(
                    fault,
                    phase,
                    web_id=f"{fault}-{phase}",
                    requester=requester,
                    runtime=runtime,
                    advance=clock.advance,
                )
                failed += bool(walked.left)
                click.echo(_line(walked))
        broken = [line.finding.message for line in examine_promises() if line.finding.level is not Level.OK]
    for message in broken:
        click.echo(f"broken: {message}", err=True)
    click.echo(f"{failed} left something behind." if failed else "Nothing was left behind.")
    if failed or broken:
        sys.exit(1)


@drill.command("start")
@with_app
@click.argument("fault", type=click.Choice([fault.value for fault in drill_live.STICKING]))
@duration_option("--for", default="30m", show_default=True, help="After this the directory heals by itself.")
@click.option("--as", "email", required=True, help="The omniadmin who holds the drill; the record names them.")
def start(runtime: Runtime, fault: str, email: str, **options: timedelta) -> None:
    """Have the removal of one account fail on this installation: under Needs attention, in mails and in metrics.

    It makes, once, an instance of its own that nobody can enter.
    """
    person = named_person(email, None)
    actor = Actor(id=person.id, name=person.full_name, via=COMMAND_LINE)
    request = drill_live.start(Fault(fault), lasting=options["for"], person=person, actor=actor, runtime=runtime)
    click.echo(f"Request {request.public_id} has ended, and its account {request.account_name} cannot be removed:")
    click.echo(f"for {_words(options['for'])} its directory has the fault {fault}. After three failures or 15 minutes")
    click.echo("it stands under Needs attention. End the drill with: tempadmin drill stop")


@drill.command("stop")
@with_app
def stop(runtime: Runtime) -> None:
    """Heal the directory, and remove what is left."""
    standing = drill_live.stop(runtime=runtime)
    if standing.left:
        click.echo(f"Healed; {len(standing.left)} accounts are being removed. Look again: tempadmin drill status")
        sys.exit(1)
    click.echo("Healed; nothing is left.")


@drill.command("status")
@with_app
def status(runtime: Runtime) -> None:
    """Say which fault the drill directory has, and what is in it. Exit code 1 while something is."""
    standing = drill_live.status(runtime=runtime)
    lasts = f"{standing.fault} until {standing.until:%Y-%m-%d %H:%M:%S} UTC" if standing.fault else "healthy"
    click.echo(f"The drill directory: {lasts}.")
    for request in standing.requests:
        stuck = ", needs attention" if queries.needs_attention(request, now=runtime.now()) else ""
        error = f": {request.last_error}" if request.last_error else ""
        click.echo(f"{request.public_id}  {request.state}, {request.removal_failures} failures{stuck}{error}")
    click.echo(f"In it: {', '.join(standing.left)}" if standing.left else "Nothing is left in it.")
    if standing.left:
        sys.exit(1)


class _OnlyThese(Settings):
    """Settings that no variable of the environment changes: a drill must never meet the installation's database."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the environment out."""
        return (init_settings,)


class _Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self._now = SystemClock().now()

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by


@contextmanager
def _scratch() -> Iterator[tuple[Runtime, _Clock, Actor]]:
    """Build an installation of nothing but a drill, and forget it."""
    with tempfile.TemporaryDirectory(prefix="tempadmin-drill-") as folder:
        clock = _Clock()
        settings = _OnlyThese(
            data=Path(folder),
            base_url="http://localhost:8000",
            secret_keys=(secrets.token_urlsafe(48),),
            mail_url="none",
        )
        app = create_app(settings, clock=clock)
        only_warnings()
        connectors(app)[DRILL] = DrillConnector(wait=lambda seconds: clock.advance(timedelta(seconds=seconds)))
        with app.app_context():
            upgrade_database()
            runtime = current_runtime()
            try:
                yield runtime, clock, _requester(runtime)
            finally:
                db.session.remove()
                db.engine.dispose()


def _requester(runtime: Runtime) -> Actor:
    home = create_default(web_id="operator", name="Operator", actor=SERVICE, runtime=runtime)
    with transaction():
        person = add_user(
            instance_id=home,
            email="drill@operator.example",
            full_name="Drill",
            role=OMNIADMIN,
            now=runtime.now(),
            runtime=runtime,
        )
        return Actor(id=person.id, name=person.full_name)


def _line(walked: Walked) -> str:
    tries = f"{walked.failures} failed tries" if walked.failures != 1 else "1 failed try"
    stood = f"needed attention after {_words(walked.attention_after)}, " if walked.attention_after is not None else ""
    end = f"LEFT: {', '.join(walked.left)}" if walked.left else f"gone after {_words(walked.gone_after)}"
    made = "" if walked.made else "never made, "
    return f"{walked.fault:<17} while {walked.phase:<9} {tries}, {made}{stood}{end}"


def _words(span: timedelta) -> str:
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
