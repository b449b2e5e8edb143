"""Time comes from PostgreSQL where there is one: whatever a machine's own clock says, all machines agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from tempadmin.app import create_app
from tempadmin.clock import DatabaseClock, SystemClock, steady_seconds
from tempadmin.db import db, transaction
from tempadmin.doctor.findings import Level
from tempadmin.doctor.installation import clock as look_at_clocks
from tempadmin.runtime import current_runtime
from tempadmin.synchronise import COMPLAIN_AGAIN_SECONDS
from tests.conftest import Build
from tests.world import FakeClock, settings_for

MOMENT = datetime(2026, 11, 22, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Wrong(FakeClock):
    """A machine's clock that is ten minutes ahead."""

    wrong_by = timedelta(minutes=10)

    def now(self) -> datetime:
        return SystemClock().now() + self.wrong_by


def test_the_time_goes_on_by_the_steady_clock_alone() -> None:
    """A reading of a minute ago is a minute later now; what the wall clock was set to since does not matter."""
    wall = FakeClock()
    clock = DatabaseClock(wall)
    assert clock.now() == wall.now()
    now = steady_seconds()
    clock.take(MOMENT, asked=now - 60.2, answered=now - 59.8)
    wall.advance(hours=5)
    assert MOMENT + 60 * SECOND <= clock.now() < MOMENT + 61 * SECOND
    assert clock.is_due()


def test_a_reading_that_took_long_undoes_no_quicker_one() -> None:
    """A process that was stopped in between knows what it knew before, unless that cannot be: the nearest that can."""
    clock, now = DatabaseClock(FakeClock()), steady_seconds()
    clock.take(MOMENT, asked=now - 30, answered=now)
    assert abs(clock.now() - MOMENT - 15 * SECOND) < SECOND
    clock.take(MOMENT, asked=now - 0.1, answered=now)
    for slow, told in ((-20, 0), (-40, -10), (5, 5)):
        clock.take(MOMENT + slow * SECOND, asked=now - 30, answered=now)
        assert abs(clock.now() - MOMENT - told * SECOND) < SECOND
    assert not clock.is_due()


@pytest.mark.only_postgresql
def test_every_process_tells_the_database_s_time(build: Build) -> None:
    """From its first transaction on, before that one's first statement, however wrong its machine is."""
    clock = DatabaseClock(Wrong())
    build(clock=clock)
    assert not clock.is_due()
    with transaction() as session:
        there = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    assert abs(clock.now() - there) < SECOND


@pytest.mark.only_postgresql
def test_a_machine_whose_clock_is_wrong_is_named_in_the_log_once_a_minute(build: Build) -> None:
    """With how wrong it is; what differs by less than two seconds is nothing to speak of."""
    wall = Wrong()
    wall.wrong_by = timedelta(seconds=1.5)
    clock = DatabaseClock(wall)
    build(clock=clock)
    with capture_logs() as logs:
        for wrong_by in (1.5, 600, 600, 600):
            wall.wrong_by = timedelta(seconds=wrong_by)
            long_ago = steady_seconds() - 10
            clock.take(clock.now() - 10 * SECOND, asked=long_ago, answered=long_ago)
            with transaction():
                assert not clock.is_due()
    said = [line for line in logs if line["event"] == "clock.skew"]
    assert [line["seconds_ahead_of_database"] for line in said] == [600.0]
    assert COMPLAIN_AGAIN_SECONDS == 60


@pytest.mark.only_postgresql
def test_the_database_is_asked_again_after_five_seconds_and_not_before(build: Build) -> None:
    """One short statement, at the beginning of a transaction."""
    clock = DatabaseClock()
    build(clock=clock)
    now = steady_seconds()
    for age, told in ((4.0, MOMENT), (6.0, None)):
        clock.take(MOMENT, asked=now - age, answered=now - age)
        with transaction():
            db.session.execute(text("SELECT 1"))
        assert (abs(clock.now() - MOMENT) < 60 * SECOND) == (told is not None)
    assert abs(clock.now() - SystemClock().now()) < 2 * SECOND


@pytest.mark.only_postgresql
def test_doctor_compares_the_machine_s_own_clock(build: Build) -> None:
    """The service's time is the database's, so only the machine can be wrong; and it says by how much."""
    world = build(clock=DatabaseClock(Wrong()))
    (finding,) = look_at_clocks(world.runtime)
    assert finding.level is Level.ERROR
    assert "this machine's clock is 600.0 s ahead of the database's" in finding.message


def test_an_application_takes_the_clock_that_fits_its_database(tmp_path: Path, database_url: str | None) -> None:
    """PostgreSQL's for many machines; on SQLite there is but one machine, and its clock."""
    where = {} if database_url is None else {"database_url": database_url}
    app = create_app(settings_for(tmp_path, **where))
    with app.app_context():
        assert isinstance(current_runtime().clock, DatabaseClock if where else SystemClock)
        db.engine.dispose()
