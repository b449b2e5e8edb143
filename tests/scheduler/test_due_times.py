"""Due times follow from schedule and clock alone."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.due_times import DueTimes, in_words, next_due
from tests.scheduler.world import NOON

INSTANT = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("seconds", [1, 5, 7, 10, 60, 3600, 86_400])
def test_an_interval_is_counted_from_1970_to_the_microsecond(seconds: int) -> None:
    """The next due time is the first multiple of the interval that is later, never the moment itself."""
    interval = timedelta(seconds=seconds)
    for year in (2026, 2060):
        due = next_due(interval, datetime(year, 1, 1, tzinfo=UTC))
        for _ in range(50):
            assert (due - EPOCH) % interval == timedelta(0)
            assert next_due(interval, due - INSTANT) == due
            assert next_due(interval, due + INSTANT) == next_due(interval, due) == due + interval
            due = next_due(interval, due)


def test_missed_due_times_coalesce() -> None:
    """After a week's silence the next due time lies ahead; none of the missed ones comes again."""
    assert next_due(timedelta(seconds=10), NOON + timedelta(days=7)) == NOON + timedelta(days=7, seconds=10)
    assert next_due("0 3 * * *", NOON + timedelta(days=7)) == datetime(2026, 11, 11, 3, tzinfo=UTC)


def test_a_crontab_schedule_is_utc() -> None:
    """Three o'clock is three o'clock UTC, on the day that summer time ends too."""
    due = next_due("0 3 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert due == datetime(2026, 10, 25, 3, tzinfo=UTC)
    assert due.utcoffset() == timedelta(0)
    assert next_due("0 3 * * *", due) == datetime(2026, 10, 26, 3, tzinfo=UTC)


def test_a_trigger_that_was_woken_between_finds_back_to_the_due_times() -> None:
    """What fired before counts for nothing: 12:00:03 is followed by 12:00:05, not by 12:00:08."""
    trigger, woken = DueTimes(timedelta(seconds=5)), NOON + timedelta(seconds=3)
    assert trigger.get_next_fire_time(woken, woken) == NOON + timedelta(seconds=5)


@pytest.mark.parametrize("schedule", ["0 3 30 2 *", "nonsense", "", timedelta(0), timedelta(milliseconds=100)])
def test_a_schedule_that_is_nonsense_or_never_comes_is_refused(schedule: str | timedelta) -> None:
    """The 30th of February, too few fields and intervals below a second have no due time."""
    with pytest.raises(ValueError, match=r"never comes|five fields|one second"):
        next_due(schedule, NOON)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (timedelta(seconds=10), "every 10 s"),
        (timedelta(minutes=5), "every 5 min"),
        (timedelta(hours=1), "every hour"),
        (timedelta(hours=2), "every 2 hours"),
        ("0 3 * * *", "every day at 03:00 UTC"),
        ("5  14 * * *", "every day at 14:05 UTC"),
        ("0 3 * * 1-5", "0 3 * * 1-5 (UTC)"),
    ],
)
def test_a_schedule_is_said_in_words(schedule: str | timedelta, words: str) -> None:
    """Intervals and daily times read as a sentence; what is more intricate is shown as it was set."""
    assert in_words(schedule) == words
