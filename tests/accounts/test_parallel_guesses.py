"""Guesses from four real processes at once are judged five times in all, on both databases (S12)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tempadmin.db import db
from tests.world import World

ROOT = Path(__file__).parents[2]
PROCESSES, GUESSES = 4, 12


def guess(world: World, kind: str) -> Counter[str]:
    """Let the processes start together; count their answers."""
    url = db.engine.url.render_as_string(hide_password=False)
    arguments = [str(world.runtime.settings.data), url, kind, str(GUESSES)]
    command = [sys.executable, "-m", "tests.accounts.guesser", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        children = []
        for _ in range(PROCESSES):
            child = stack.enter_context(subprocess.Popen(command, cwd=ROOT, text=True, **pipes))  # type: ignore[call-overload]
            stack.callback(child.kill)
            children.append(child)
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        answers: Counter[str] = Counter()
        for child in children:
            answers.update(child.communicate(timeout=100)[0].split())
    return answers


@pytest.mark.parametrize("kind", ["password", "code", "present"])
def test_s12_guesses_from_four_processes_are_judged_five_times(kind: str, world: World) -> None:
    """Passwords at sign-in, codes and recovery codes together, and the present password: never a sixth answer."""
    world.omniadmin()
    db.session.rollback()
    assert guess(world, kind) == {"Invalid": 5, "RateLimited": PROCESSES * GUESSES - 5}
