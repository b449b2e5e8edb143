"""`tempadmin audit prune` and `verify-archive`: what they say, ask and refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from tempadmin.cli import build as build_command
from tempadmin.db import db
from tests.conftest import Build
from tests.tamper import without_triggers
from tests.tempadmin.pruned import all_hold, interrupted, prune_all, write_events
from tests.tempadmin.stage import everything
from tests.world import CONSOLE, KEYS, World

BEFORE = "2020-01-01"
CHAINS = ["acme: events 1 to 5, 0 rows of activity", "birch: events 1 to 5, 0 rows of activity"]


@pytest.fixture
def old(build: Build) -> World:
    """Acme and Birch, each with five events of long ago; the command reads the machine's clock."""
    world = build()
    world.clock.time = world.clock.time.replace(year=2019)
    acme, birch = world.instance("acme"), world.instance("birch")
    write_events(world, 5, acme.id, birch.id)
    world.clock.time = world.clock.time.replace(year=2026)
    return world


def run(world: World, *arguments: str, said: str | None = None, keys: str = KEYS[0]) -> Result:
    db.session.remove()
    settings = world.runtime.settings
    environment = {
        "TEMPADMIN_BASE_URL": CONSOLE,
        "TEMPADMIN_SECRET_KEYS": keys,
        "TEMPADMIN_DATABASE_URL": settings.database,
    }
    command = ["audit", *arguments, "--data", str(settings.data)]
    return CliRunner(env=environment).invoke(build_command([]), command, input=said)


def file_of(world: World) -> Path:
    return world.runtime.settings.data / "archive.jsonl"


def test_s51_prune_asks_archives_and_says_what_it_did(old: World) -> None:
    """A dry run and a no change nothing; a second run has nothing to do; the file proves itself without a database."""
    file, before = file_of(old), everything(old)
    dry = run(old, "prune", "--before", BEFORE, "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines()) == (
        0,
        ["To go: 10 events and 0 rows of activity of 2 instances, from before 2020-01-01.", *CHAINS],
    )
    prune = ("prune", "--before", BEFORE, "--export", str(file))
    assert run(old, *prune, said="n\n").exit_code == 1
    assert (everything(old), file.exists()) == (before, False)
    done = run(old, *prune, said="y\n")
    assert done.exit_code == 0, done.output
    assert "Deleted: 10 events" in done.stdout
    assert file.stat().st_mode & 0o077 == 0
    assert all_hold(old)
    assert run(old, "verify").stdout == "2 chains hold.\n"
    assert "Deleted: 0 events" in run(old, *prune, "--yes").stdout
    proven = run(old, "verify-archive", str(file))
    assert (proven.exit_code, proven.stdout.splitlines()[:2]) == (
        0,
        CHAINS,
    )
    assert run(old, "verify-archive", str(file), keys="x" * 32).exit_code == 1


@pytest.mark.only_sqlite
def test_s51_prune_takes_one_instance_alone(old: World) -> None:
    """By its web id; what is no instance is said."""
    prune = ("prune", "--before", BEFORE, "--export", str(file_of(old)), "--yes", "--instance")
    assert "no record of an instance cedar" in run(old, *prune, "cedar").stderr
    assert "Deleted: 5 events" in run(old, *prune, "birch").stdout


@pytest.mark.only_sqlite
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--before", "2999-01-01"], "30 days ago at least"),
        (["--before", "soon"], "does not match the format"),
        ([], "--before"),
    ],
)
def test_s51_prune_keeps_a_month_at_least(arguments: list[str], says: str, old: World) -> None:
    """A day of the future, none, or no day at all: nothing is done."""
    before = everything(old)
    result = run(old, "prune", *arguments, "--export", str(file_of(old)), "--yes")
    assert result.exit_code != 0
    assert says in result.stderr
    assert (everything(old), file_of(old).exists()) == (before, False)


@pytest.mark.only_sqlite
def test_s51_prune_needs_a_file_of_its_own(old: World) -> None:
    """It replaces none, whatever it is; and without one it does nothing."""
    file, before = file_of(old), everything(old)
    assert "--export FILE" in run(old, "prune", "--before", BEFORE).stderr
    file.write_text("the last backup\n", "utf-8")
    assert "exists already" in run(old, "prune", "--before", BEFORE, "--export", str(file), "--yes").stderr
    assert (everything(old), file.read_text("utf-8")) == (before, "the last backup\n")
    nowhere = file.with_name("nowhere") / "archive.jsonl"
    assert "cannot be written" in run(old, "prune", "--before", BEFORE, "--export", str(nowhere), "--yes").stderr
    assert everything(old) == before


@pytest.mark.only_sqlite
def test_s51_an_archive_of_another_question_is_not_gone_on_with(old: World) -> None:
    """Another day or another instance needs another file."""
    prune = ("prune", "--export", str(file_of(old)), "--yes", "--before")
    assert run(old, *prune, BEFORE, "--instance", "acme").exit_code == 0
    for other in (["2019-12-01", "--instance", "acme"], [BEFORE], [BEFORE, "--instance", "birch"]):
        assert "the archive of something else" in run(old, *prune, *other).stderr


@pytest.mark.only_sqlite
@pytest.mark.parametrize(
    "tamper", ["UPDATE audit_events SET details = '{{}}' WHERE {}", "DELETE FROM audit_events WHERE {}"]
)
@pytest.mark.parametrize("number", [1, 3])
def test_s52_a_record_that_was_tampered_with_is_not_pruned(tamper: str, number: int, old: World) -> None:
    """A checkpoint of ours would hide what was cut off; and no archive is made that does not hold."""
    with without_triggers(), db.engine.begin() as connection:
        connection.execute(text(tamper.format(f"instance_id = 2 AND number = {number}")))
    before = everything(old)
    result = run(old, "prune", "--before", BEFORE, "--export", str(file_of(old)), "--yes")
    assert (result.exit_code, "acme" in result.stderr) == (1, True)
    assert everything(old) == before
    assert [path.name for path in file_of(old).parent.glob("archive*")] == []


@pytest.mark.only_sqlite
def test_s52_an_expected_head_that_was_archived_is_no_cut_tail(old: World) -> None:
    """Of the last one the hash is known and compared; those below it the signed checkpoint speaks for."""
    kept = db.session.execute(text("SELECT number, hash FROM audit_events WHERE instance_id = 2 ORDER BY number")).all()
    assert run(old, "prune", "--before", BEFORE, "--export", str(file_of(old)), "--yes").exit_code == 0
    for number, digest in kept:
        assert run(old, "verify", "--expect-head", f"2:{number}:{digest}").exit_code == 0
    assert run(old, "verify", "--expect-head", f"2:5:{'0' * 64}").exit_code == 1
    assert run(old, "verify", "--expect-head", f"2:99:{'0' * 64}").exit_code == 1


STOPS = (
    ("tempadmin.audit.prune._archived:after archive", 1),
    ("tempadmin.audit.prune._set_checkpoint:before commit", 1),
    ("tempadmin.audit.prune._set_checkpoint:before commit", 2),
    ("tempadmin.audit.prune._set_checkpoint:committed", 2),
    ("tempadmin.audit.pruning._delete:before commit", 1),
    ("tempadmin.audit.pruning._delete:committed", 1),
)


@pytest.mark.only_sqlite
@pytest.mark.parametrize(("point", "time"), STOPS)
def test_s51_whoever_is_interrupted_goes_on_with_the_same_command(point: str, time: int, old: World) -> None:
    """The record verifies at each step, and doctor finds nothing; in the end everything went exactly once."""
    before = old.clock.now().replace(year=2020, month=1, day=1, hour=0, minute=0, second=0)
    with interrupted(point, time=time):
        prune_all(old, file_of(old), before=before)
    assert run(old, "verify").stdout == "2 chains hold.\n"
    result = run(old, "prune", "--before", BEFORE, "--export", str(file_of(old)), "--yes")
    assert (result.exit_code, "Going on: the file holds 10 events" in result.stdout) == (0, True), result.output
    assert all_hold(old)
    query = "SELECT instance_id, count(*), min(number) FROM audit_events GROUP BY instance_id ORDER BY instance_id"
    assert db.session.execute(text(query)).all() == [(2, 1, 6), (3, 1, 6)]
