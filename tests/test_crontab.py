"""Crontab expressions mean what crontab(5) says, weekdays above all."""

from datetime import UTC, datetime, timedelta

import pytest

from tempadmin.crontab import cron_trigger

SUNDAY = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def weekdays(field: str) -> list[str]:
    """On which days of a week, Sunday first, an expression with this weekday field runs."""
    trigger, moment = cron_trigger(f"0 3 * * {field}"), SUNDAY
    found: list[str] = []
    while True:
        moment = trigger.get_next_fire_time(None, moment)
        if moment >= SUNDAY + timedelta(days=7):
            return found
        found.append(NAMES[(moment - SUNDAY).days])
        moment += timedelta(minutes=1)


@pytest.mark.parametrize(("number", "name"), [*enumerate(NAMES), (7, "sun")])
def test_each_weekday_is_counted_from_sunday(number: int, name: str) -> None:
    """0 and 7 are Sunday, 1 is Monday, and so on to 6; each by its number and by its name."""
    assert weekdays(str(number)) == weekdays(name) == weekdays(name.upper()) == [name]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("*", list(NAMES)),
        ("1-5", ["mon", "tue", "wed", "thu", "fri"]),
        ("0-2", ["sun", "mon", "tue"]),
        ("5-7", ["sun", "fri", "sat"]),
        ("0-7", list(NAMES)),
        ("6-6", ["sat"]),
        ("0,6", ["sun", "sat"]),
        ("6,0", ["sun", "sat"]),
        ("7,0", ["sun"]),
        ("1,3-4,sat", ["mon", "wed", "thu", "sat"]),
        ("mon-fri", ["mon", "tue", "wed", "thu", "fri"]),
        ("*/2", ["sun", "tue", "thu", "sat"]),
        ("1-5/2", ["mon", "wed", "fri"]),
        ("0-6/3", ["sun", "wed", "sat"]),
        ("3/2", ["sun", "wed", "fri"]),
    ],
)
def test_ranges_lists_steps_and_names_of_weekdays(field: str, expected: list[str]) -> None:
    """Every way to write several weekdays gives those days and no others."""
    assert weekdays(field) == expected


@pytest.mark.parametrize(
    ("expression", "first", "second"),
    [
        ("0 3 * * *", "2026-11-01 03:00", "2026-11-02 03:00"),
        ("*/15 * * * *", "2026-11-01 00:00", "2026-11-01 00:15"),
        ("10,40 8-9 * * *", "2026-11-01 08:10", "2026-11-01 08:40"),
        ("0 0 1 * *", "2026-11-01 00:00", "2026-12-01 00:00"),
        ("0 0 31 * *", "2026-12-31 00:00", "2027-01-31 00:00"),
        ("30 4 1 jan *", "2027-01-01 04:30", "2028-01-01 04:30"),
        ("30 4 29 2 *", "2028-02-29 04:30", "2032-02-29 04:30"),
        ("  0   3 * * *  ", "2026-11-01 03:00", "2026-11-02 03:00"),
    ],
)
def test_the_other_fields(expression: str, first: str, second: str) -> None:
    """Minute, hour, day of the month and month are read as crontab(5) reads them, in UTC, at second 0."""
    trigger = cron_trigger(expression)
    one = trigger.get_next_fire_time(None, SUNDAY)
    two = trigger.get_next_fire_time(one, one + timedelta(microseconds=1))
    assert [f"{moment:%Y-%m-%d %H:%M}" for moment in (one, two)] == [first, second]
    assert one.second == 0
    assert one.utcoffset() == timedelta(0)


@pytest.mark.parametrize("expression", ["0 3 1 * 1", "0 3 1-7 * mon", "0 3 */2 * 0", "0 3 1 * */2"])
def test_a_day_of_the_month_and_a_weekday_together_are_refused(expression: str) -> None:
    """crontab(5) runs when either matches, APScheduler when both do: nobody is left to guess."""
    with pytest.raises(ValueError, match="not both"):
        cron_trigger(expression)


@pytest.mark.parametrize("expression", ["", "0 3 * *", "0 3 * * * *", "@daily", "0 0 3 * * 1", "every day at three"])
def test_five_fields_are_needed(expression: str) -> None:
    """Fewer, more and nicknames are refused, with a sentence that says how many there should be."""
    with pytest.raises(ValueError, match="five fields"):
        cron_trigger(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "60 3 * * *",
        "0 24 * * *",
        "0 3 0 * *",
        "0 3 32 * *",
        "0 3 * 13 *",
        "0 3 * 0 *",
        "x 3 * * *",
        "-1 3 * * *",
        "0 5-3 * * *",
        "*/0 3 * * *",
        "0 3 * * 8",
        "0 3 * * 0-8",
        "0 3 * * 5-1",
        "0 3 * * fri-mon",
        "0 3 * * */0",
        "0 3 * * */8",
        "0 3 * * someday",
        "0 3 * * 1,",
        "0 3 * * ,",
        "0 3 * * 1--2",
        "0 3 * * ?",
        "0 3 30 2 *",
        "0 3 31 4,6 *",
        # APScheduler would take these for another time: it overlooks what follows a name, counts weekdays from
        # Monday where we leave one to it, and knows more words and digits than crontab(5) does.
        "0 3 * * mon/2",
        "0 3 * * mon-fri/2",
        "0 3 * * mon-fri-sun",
        "0 3 * * mon#1",
        "0 3 * jan-mar/2 *",
        "0 3 last * *",
        "0 3 * * 01",
        "0 3 * * 00-04",
        "0 3 * * ١",
        "٣ 3 * * *",
    ],
)
def test_nonsense_is_refused(expression: str) -> None:
    """Numbers out of range, backward ranges and unknown words do not become some other time."""
    with pytest.raises(ValueError, match=r"\w"):
        cron_trigger(expression)
