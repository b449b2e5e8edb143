"""P1: a process is killed at every step of every use case; what it left heals, and people can go on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.failpoints.points import ROOT, all_points

SECONDS = 900
UNREACHABLE = ROOT / "tests/failpoints/unreachable.toml"


@pytest.mark.timeout(SECONDS + 20)
def test_p1_killed_at_every_step_of_every_use_case(
    tmp_path: Path, database_url: str | None, request: pytest.FixtureRequest
) -> None:
    """SIGKILL at each failpoint, start again, converge: nothing is left or wrong, and the same may be tried again."""
    if database_url is None:
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "tempadmin.db")
    command = [sys.executable, "-m", "tests.failpoints.matrix", str(tmp_path), database_url or ""]
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, timeout=SECONDS, check=False
        )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [problem for report in reports for problem in report["problems"]] == []
    assert done.returncode == 0, (tmp_path / "log").read_text()[-2000:]
    tried = {place.partition(" (")[0] for report in reports for place in report["places"]}
    unreachable = tomllib.loads(UNREACHABLE.read_text())
    no_scenario_comes_there = all_points() - tried - unreachable.keys()
    assert sorted(no_scenario_comes_there) == [], "add one to tests/failpoints, or say in unreachable.toml why none can"
    rotten = (unreachable.keys() & tried) | (unreachable.keys() - all_points())
    assert sorted(rotten) == [], "take it out of unreachable.toml"
