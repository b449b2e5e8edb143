"""A data folder that takes nothing: every command says so in a line, and none leaves a trace or a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tickets.servers import Server

COMMANDS = ("serve", "scheduler run", "db restored", "backup {data}/copy.db", "restore {data}.db")


@pytest.mark.only_sqlite
def test_s36_a_read_only_folder_is_said_in_words(
    read_only: Callable[[Path], None], database: str, tmp_path: Path
) -> None:
    """As after a disk's error, when the kernel mounts it read-only."""
    server = Server(tmp_path / "data", mail_url="none")
    server.engine.dispose()
    (tmp_path / "data.db").write_bytes((server.folder / "tempadmin.db").read_bytes())
    read_only(server.folder)
    before = sorted(path.name for path in server.folder.iterdir())
    for command in COMMANDS:
        done = server.command(*command.format(data=server.folder).split())
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 1, (command, done.stdout, done.stderr)
        assert "error: " in done.stderr
    examined = server.command("doctor")
    assert examined.returncode == 1
    assert "Traceback" not in examined.stdout + examined.stderr
    assert sorted(path.name for path in server.folder.iterdir()) == before
