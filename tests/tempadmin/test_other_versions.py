"""A data folder of another version: one line that says what to run, exit code 2, no trace, and nothing touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from click.testing import CliRunner, Result
from sqlalchemy import text

from tempadmin.cli import build as build_command
from tempadmin.db import db
from tempadmin.schema import MIGRATIONS
from tests.tempadmin.stage import everything
from tests.world import CONSOLE, KEYS, World

COMMANDS = (
    "omniadmin list", "omniadmin create --email a@b.example --name A", "instance list",
    "instance archive acme --yes", "user list --instance acme", "access list", "cleanup",
    "access end x --as a@b.example", "audit verify", "audit export", "audit prune --before 2020-01-01 --dry-run",
    "serve", "scheduler run",  # last: without the check they would run on
)  # fmt: skip
NEWER, OLDER = "9999", "0001"


def run(world: World, command: str, folder: Path | None = None) -> Result:
    environment = {"TEMPADMIN_BASE_URL": CONSOLE, "TEMPADMIN_SECRET_KEYS": KEYS[0]}
    settings = world.runtime.settings
    if folder is None and settings.database_url:
        environment["TEMPADMIN_DATABASE_URL"] = settings.database_url
    arguments = [*command.split(), "--data", str(folder or settings.data)]
    return CliRunner(env=environment).invoke(build_command([]), arguments)


def of_version(revision: str) -> None:
    """Have the database say that another version made it."""
    known = {one.revision for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    found = next((one for one in known if one.startswith(revision)), revision)
    with db.engine.connect().execution_options(write=True) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": found})
        connection.commit()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("revision", "says"), [(NEWER, "newer version of tempadmin"), (OLDER, "tempadmin db upgrade")])
def test_s43_every_command_refuses_another_versions_database(
    command: str, revision: str, says: str, world: World
) -> None:
    """Older or newer: the line says which, and what to run."""
    of_version(revision)
    before = everything(world)
    result = run(world, command)
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert everything(world) == before


def test_s43_a_newer_database_is_not_upgraded(world: World) -> None:
    """There is no way back, and the migrations of another version are not here."""
    of_version(NEWER)
    result = run(world, "db upgrade")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "install that version" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_s43_a_folder_without_a_database_is_left_empty(command: str, world: World, tmp_path: Path) -> None:
    """A slip in --data says so, and makes no empty database there."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    result = run(world, command, folder)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "tempadmin db upgrade" in result.stderr
    assert list(folder.iterdir()) == []
