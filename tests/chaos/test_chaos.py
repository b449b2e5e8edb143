"""Promises under fire: a minute of people at work while servers, schedulers and the database are killed and cut off."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.chaos.printed import report
from tests.chaos.run import Chaos
from tests.conftest import need_postgresql


@pytest.mark.postgresql
@pytest.mark.timeout(0)  # it waits with deadlines of its own; starting and settling take long on a busy machine
def test_p1_p2_p3_every_promise_holds_under_kills_stops_and_cuts(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Whatever its seed tries, the history explains the final state and no promise is broken; else it is printed."""
    need_postgresql()
    seed = pytestconfig.getoption("--chaos-seed") or secrets.token_hex(4)
    seconds = float(pytestconfig.getoption("--chaos-seconds"))
    seen = Chaos(seconds=seconds, seed=seed, folder=tmp_path).run()
    text = report(seen, seed=seed, seconds=seconds)
    assert sum(one.outcome == "ok" for one in seen.history.of("redeem")) > 0, text
    assert [one for one in seen.verdicts if one.broken] == [], text
