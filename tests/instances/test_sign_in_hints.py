"""What whoever is shown a password for PostgreSQL is told: a line that can be pasted into a terminal as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from instances.models import VirtualInstance
from tests import postgresql
from tests.instances.conftest import MakeTemporary
from tests.instances.postgresql_directory import ITS_PASSWORD, SECRET, Roles, connect, let_in, server, settings_of
from tests.world import World


@pytest.mark.only_sqlite
def test_the_line_for_a_terminal_signs_in(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> None:
    """Pasted into a shell, with the password that was shown: one is who the account is."""
    roles = Roles(world, birch, temporary)
    account = let_in(world, roles)
    hint = roles.connector.sign_in_hint(account)
    assert hint["Server"] == f"127.0.0.1:{server().port}"
    assert ITS_PASSWORD not in str(hint)
    programs = f"{postgresql.PROGRAMS[-1].parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", f"{hint['Terminal']} -Atc 'select current_user'"],
        env={"PATH": programs, "PGPASSWORD": SECRET},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == f"{account.name}\n", done.stderr


@pytest.mark.only_sqlite
def test_a_socket_is_named_by_its_folder(
    world: World, birch: VirtualInstance, temporary: MakeTemporary, tmp_path: Path
) -> None:
    """And what needs quotes has them, for the library and for the shell."""
    roles = Roles(world, birch, temporary)
    connect(world, birch, settings_of(host=str(tmp_path), database="it's ours"))
    hint = roles.connector.sign_in_hint(roles.reserve(77))
    assert (hint["Server"], hint["Database"]) == (str(tmp_path), "it's ours")
    shown = subprocess.run(
        ["sh", "-c", f"echo {hint['Terminal']}"], capture_output=True, text=True, timeout=10, check=True
    )
    assert r"dbname='it\'s ours'" in shown.stdout
