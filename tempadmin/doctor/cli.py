"""``tempadmin doctor``: one line per finding, exit code 0 when all is well."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path

import click

from tempadmin.app import create_app
from tempadmin.backup import watch
from tempadmin.cli import data_option
from tempadmin.db import db
from tempadmin.doctor import contents, installation
from tempadmin.doctor.findings import DATABASE, MIGRATIONS, Check, Level, Line, checks, error, examine, said
from tempadmin.doctor.invariants import examine_invariants
from tempadmin.doctor.mail import mail
from tempadmin.runtime import application, current_runtime
from tempadmin.settings import SettingsError, load_settings

GROUND_FLOOR = (
    Check(name="settings", look=installation.settings, needs=None),
    Check(name="mail", look=mail, needs=None),
    Check(name=DATABASE, look=installation.database, needs=None),
    Check(name=MIGRATIONS, look=installation.migrations, needs=DATABASE),
    Check(name="clock", look=installation.clock, needs=DATABASE),
    Check(name="schema", look=installation.schema_drift),
    Check(name="keys", look=contents.keys),
    Check(name="audit", look=contents.audit_heads),
    Check(name="restored", look=watch.findings),
    Check(name="people", look=contents.people),
    Check(name="outbox", look=contents.outbox),
)
LINES_PER_CHECK = 20


def register(group: click.Group) -> None:
    """Add the command."""
    group.add_command(doctor)


@click.command("doctor")
@data_option
@click.option("--invariants", is_flag=True, help="Look for broken promises instead, in database and directories.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of objects: check, level, message, advice.")
def doctor(data: Path | None, *, invariants: bool, as_json: bool) -> None:
    """Look for what is wrong, and say what to do; change nothing.

    Exit code 0 when all is well, 1 when there is a warning or an error.
    """
    lines = list(diagnose(data, examine_promises if invariants else examine_all))
    if as_json:
        rows = [{"check": one.check, **vars(one.finding)} for one in lines]
        click.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for line in _for_people(lines):
            click.echo(line)
    if any(one.finding.level is not Level.OK for one in lines):
        sys.exit(1)


def diagnose(data: Path | None, look: Callable[[], Iterable[Line]]) -> Iterator[Line]:
    """Yield what there is to say about the installation in a data folder; raises nothing."""
    try:
        app = create_app(load_settings(data))
    except SettingsError as reason:
        for problem in reason.problems:
            yield Line(check="settings", finding=error(problem, "correct this setting"))
        return
    except Exception as reason:  # noqa: BLE001 - a doctor that falls ill helps nobody
        finding = error(f"cannot be used: {type(reason).__name__}: {said(reason)}", "check database_url and modules")
        yield Line(check="settings", finding=finding)
        return
    with app.app_context():
        try:
            yield from look()
        finally:
            db.session.remove()
            db.engine.dispose()


def examine_all() -> Iterator[Line]:
    """Yield what all checks of the application at work find: the ground floor's, then its modules'."""
    yield from examine([*GROUND_FLOOR, *checks(application())], current_runtime())


def examine_promises() -> Iterator[Line]:
    """Yield every promise that is broken in a way that a state shows; the tests of crashes end with this."""
    ground = [check for check in GROUND_FLOOR if check.name in (DATABASE, MIGRATIONS)]
    yield from examine_invariants(ground, application(), current_runtime())


def _for_people(lines: list[Line]) -> Iterator[str]:
    """Yield a line per finding; of very many of one check the first and a number, and in one line what was left out."""
    looked = [line for line in lines if line.looked]
    for check, group in groupby(looked, lambda line: line.check):
        found = list(group)
        for line in found[:LINES_PER_CHECK]:
            advice = f" – {line.finding.advice}" if line.finding.advice else ""
            yield f"{line.finding.level:<8} {check:<11} {line.finding.message}{advice}"
        if len(found) > LINES_PER_CHECK:
            yield f"{'':<8} {check:<11} … and {len(found) - LINES_PER_CHECK} more; --json names them all"
    if left_out := [line.check for line in lines if not line.looked]:
        yield f"{Level.WARNING:<8} not looked at for the errors above: {', '.join(left_out)}"
    bad = sum(line.finding.level is not Level.OK for line in looked)
    yield "All is well." if not bad else "1 finding wants attention." if bad == 1 else f"{bad} findings want attention."
