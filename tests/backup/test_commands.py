"""`tempadmin backup` and `restore`: what they refuse, what they keep, what they say."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command as migrate
from click.testing import CliRunner, Result
from flask_migrate import Migrate
from sqlalchemy import select, text

from instances.models import VirtualInstance
from tempadmin.audit.models import AuditEvent
from tempadmin.backup import copying, mark, watch
from tempadmin.cli import build as build_command
from tempadmin.db import db, transaction
from tempadmin.runtime import application
from tempadmin.schema import MIGRATIONS
from tests.tickets.evidence import assert_gone, faults, go_inside
from tests.world import CONSOLE, KEYS, World

Command = Callable[..., Result]


@pytest.fixture
def command(world: World) -> Command:
    """Run a command on the world's folder, with nobody else on its database."""

    def run(*words: str, keys: str = KEYS[0], alone: bool = True, **settings: str) -> Result:
        if alone:
            db.session.remove()
            db.engine.dispose()
        known = {"TEMPADMIN_BASE_URL": CONSOLE, "TEMPADMIN_SECRET_KEYS": keys}
        if world.runtime.settings.database_url:
            known["TEMPADMIN_DATABASE_URL"] = world.runtime.settings.database_url
        arguments = [*words, "--data", str(world.runtime.settings.data)]
        return CliRunner(env=known | settings).invoke(build_command(arguments), arguments)

    return run


def folder_of(world: World) -> Path:
    return world.runtime.settings.data


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"mail", mark.FILE_NAME}


def changed(copy: Path, statement: str) -> None:
    with closing(sqlite3.connect(copy)) as there:
        there.executescript(statement)


@pytest.fixture
def copied(world: World, acme: VirtualInstance, command: Command, tmp_path: Path) -> Path:
    """A copy from when somebody was inside Acme; the access has ended since."""
    inside = go_inside(world)
    page = f"{CONSOLE}/access/{inside.request.public_id}"
    copy = tmp_path / "copy.db"
    assert command("backup", str(copy), alone=False).exit_code == 0
    inside.ada.get(page)
    inside.ada.post(page + "/end")
    return copy


@pytest.mark.only_sqlite
def test_a_backup_says_what_it_holds_and_is_its_owners_alone(copied: Path, command: Command) -> None:
    """One file, mode 0600, nothing beside it; made while somebody else has the database open."""
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    assert [path.name for path in copied.parent.glob("copy.db*")] == ["copy.db"]
    again = command("backup", str(copied), "--force")
    assert again.exit_code == 0, again.output
    assert re.search(
        r"copy\.db: revision \d{4}, 1 people, \d+ audit events in 2 chains, the newest of 20", again.stdout
    )
    assert [path.name for path in copied.parent.glob("copy.db*")] == ["copy.db"]


@pytest.mark.only_sqlite
def test_a_backup_replaces_no_file_by_mistake(world: World, copied: Path, command: Command, tmp_path: Path) -> None:
    """Another file, the database itself, a folder that is not there: an error in words, and nothing is touched."""
    before = copied.read_bytes()
    assert "--force" in command("backup", str(copied)).stderr
    assert copied.read_bytes() == before
    itself = command("backup", str(folder_of(world) / "tempadmin.db"), "--force")
    assert (itself.exit_code, "the database itself" in itself.stderr) == (1, True)
    nowhere = command("backup", str(tmp_path / "nowhere" / "copy.db"))
    assert (nowhere.exit_code, "No such file" in nowhere.stderr) == (1, True)


@pytest.mark.only_postgresql
def test_on_postgresql_the_commands_name_its_own_programs(world: World, command: Command, tmp_path: Path) -> None:
    """No half-hearted copy of another server's database; the password is not repeated."""
    for words in ("backup", "restore"):
        (tmp_path / "copy.db").touch()
        told = command(words, str(tmp_path / "copy.db"))
        assert told.exit_code == 1
        assert "pg_dump --format=custom" in told.stderr
        assert "tempadmin db restored" in told.stderr


@pytest.mark.only_sqlite
def test_a_restore_says_what_has_changed_since(world: World, copied: Path, command: Command) -> None:
    """What ended with it, what is lost, what is still to be removed; and the former database is kept."""
    watch.look(world.runtime)
    seen = mark.read(folder_of(world))
    done = command("restore", str(copied))
    assert done.exit_code == 0, done.output
    assert "ended: accesses 1, sessions 1" in done.stdout
    assert "lost with the former database: access.ended 1, access.ending 1" in done.stdout
    assert "To be removed: liferay_online_" in done.stdout
    assert seen is not None
    assert f"up to id {seen.id} at least" in done.stdout
    kept = Path(re.search(r"kept as (\S+)\.\n", done.stdout)[1])  # type: ignore[index]
    with closing(sqlite3.connect(kept)) as former:
        assert former.execute("SELECT state FROM access_requests").fetchall() == [("ended",)]
    assert names(folder_of(world)) == {"tempadmin.db", kept.name}
    assert stat.S_IMODE((folder_of(world) / "tempadmin.db").stat().st_mode) == 0o600
    assert watch.look(world.runtime) is None, "the mark is of the restored database"
    request = world.newest_request()
    assert command("cleanup", "--min-age", "0s").exit_code == 0
    assert_gone(world, request.id, "restored")


@pytest.mark.only_sqlite
def test_p3_a_restore_refuses_while_somebody_uses_the_database(world: World, copied: Path, command: Command) -> None:
    """One idle connection is enough; nothing has happened then."""
    with closing(sqlite3.connect(folder_of(world) / "tempadmin.db")) as other:
        other.execute("SELECT count(*) FROM users").fetchone()
        refused = command("restore", str(copied))
        assert (refused.exit_code, "Stop tempadmin serve" in refused.stderr) == (1, True)
    assert world.newest_request().state == "ended"
    assert names(folder_of(world)) <= {"tempadmin.db", "tempadmin.db-wal", "tempadmin.db-shm"}


OPEN_REQUEST = """
    INSERT INTO access_requests (public_id, kind, state, state_since, requester_id, requester_name, requester_email,
        instance_id, instance_name, connector, reason, duration_seconds, created_at, lapses_at, create_attempts,
        removal_failures, confirmation_mails)
    VALUES ('x', 'temporary_admin', 'approved', '2026-11-22 10:00:00', 1, 'Ada', 'ada@operator.example',
        1, 'Acme', 'local', 'A reason.', 60, '2026-11-22 10:00:00', '2026-11-29 10:00:00', 0, 0, 0)"""
FORGED = "DROP TRIGGER audit_events_no_update; UPDATE audit_events SET actor_name = 'x' WHERE id = 2"
ORPHANED = "PRAGMA foreign_keys = OFF; DELETE FROM virtual_instances WHERE web_id = 'acme'"
SPOILT = {
    FORGED: "its hash does not fit its words",
    ORPHANED: "names a missing virtual_instances",
    "UPDATE alembic_version SET version_num = '9999'": "newer version of tempadmin",
    "DELETE FROM alembic_version": "never prepared",
}


@pytest.mark.only_sqlite
def test_s52_a_copy_that_does_not_hold_is_not_restored(world: World, copied: Path, command: Command) -> None:
    """Edited, in pieces, of another version, damaged, no database: it says so, and the present one stays."""
    whole = copied.read_bytes()

    def refuses(says: str, **keys: str) -> None:
        refused = command("restore", str(copied), **keys)
        assert (refused.exit_code, says in refused.stderr) == (1, True), refused.output
        assert world.newest_request().state == "ended"
        assert names(folder_of(world)) <= {"tempadmin.db", "tempadmin.db-wal", "tempadmin.db-shm"}

    refuses("secret_keys", keys="another-key-" * 4)
    for statement, says in SPOILT.items():
        copied.write_bytes(whole)
        changed(copied, statement)
        refuses(says)
    for broken in (b"garbage" * 10_000, whole[:40_000] + b"\xff" * 4_096 + whole[44_096:], b""):
        copied.write_bytes(broken)
        refuses("error: ")


@pytest.mark.only_sqlite
def test_a_damaged_or_missing_database_is_replaced(world: World, copied: Path, command: Command) -> None:
    """That is what copies are for: what is left of the former one is kept, and what was lost cannot be told."""
    database = folder_of(world) / "tempadmin.db"
    damages = [
        lambda: os.truncate(database, 5_000),
        lambda: database.write_bytes(b"garbage" * 10_000),
        database.unlink,
    ]
    for kept, damage in zip((1, 2, 2), damages, strict=True):
        db.session.remove()
        db.engine.dispose()
        damage()
        world.clock.advance(seconds=1)
        done = command("restore", str(copied))
        assert done.exit_code == 0, done.output
        assert "cannot be told" in done.stdout
        assert world.newest_request().end_reason == "restored"
        assert faults(world) == []
        assert len(list(database.parent.glob("*.replaced-*"))) == kept


def test_s10_the_command_after_a_restore_begins_anew(world: World, acme: VirtualInstance, command: Command) -> None:
    """On either database, for whoever restored by other means; recovery codes are voided when asked."""
    inside = go_inside(world)
    done = command("db", "restored", "--void-recovery-codes")
    assert done.exit_code == 0, done.output
    assert "ended: accesses 1" in done.stdout
    assert "second factors" in done.stdout
    assert inside.ada.get(f"{CONSOLE}/access").status_code == 302
    with transaction():
        events = db.session.scalars(select(AuditEvent).where(AuditEvent.event == mark.RESTORED)).all()
    assert {event.actor_name for event in events} == {"operator (command line)"}
    assert db.session.scalar(text("SELECT count(*) FROM recovery_codes")) == 0


@pytest.mark.only_sqlite
def test_an_older_versions_copy_is_upgraded(world: World, command: Command, tmp_path: Path) -> None:
    """The migrations since run on what is restored, and never on the file."""
    copy = tmp_path / "older.db"
    with copying.opened(copy, world.runtime.settings):
        config: Any = Migrate(application(), db, directory=str(MIGRATIONS)).get_config()
        migrate.upgrade(config, "0003")
    changed(copy, OPEN_REQUEST)
    before = copy.read_bytes()
    done = command("restore", str(copy))
    assert done.exit_code == 0, done.output
    assert "revision 0003" in done.stdout
    assert copy.read_bytes() == before
    assert_gone(world, world.newest_request().id, "restored")
