"""Guesses from four real processes at once are judged five times in all, on both databases (S12)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tempadmin.db import db
from tests.world import World

ROOT = Path(__file__).parents[2]
PROCESSES, GUESSES = 4, 12


def guess(world: World, kind: str) -> Counter[str]:
    """Let the processes start together; count their answers."""
    url = db.engine.url.render_as_string(hide_password=False)
    arguments = [str(world.runtime.settings.data), url, kind, str(GUESSES), str(PROCESSES)]
    command = [sys.executable, "-m", "tests.accounts.guesser", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return Counter(done.stdout.split())


@pytest.mark.parametrize("kind", ["password", "code", "present"])
def test_s12_guesses_from_four_processes_are_judged_five_times(kind: str, world: World) -> None:
    """Passwords at sign-in, codes and recovery codes together, and the present password: never a sixth answer."""
    world.omniadmin()
    db.session.rollback()
    assert guess(world, kind) == {"Invalid": 5, "RateLimited": PROCESSES * GUESSES - 5}
