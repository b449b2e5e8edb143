"""How moments and durations are said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempadmin.web import words

NOW = datetime(2026, 11, 3, 13, 2, 7, tzinfo=UTC)
OSLO, TOKYO = ZoneInfo("Europe/Oslo"), ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"), (0, "0 s"), (8, "8 s"), (59, "59 s"), (60, "1 min"), (221, "3 min 41 s"), (300, "5 min"),
        (599, "9 min 59 s"), (600, "10 min"), (601, "10 min"), (1320, "22 min"), (3599, "59 min"), (3600, "1 hour"),
        (5400, "1 h 30 min"), (7200, "2 hours"), (28_800, "8 hours"), (86_400, "24 hours"), (259_200, "3 days"),
    ],
)  # fmt: skip
def test_a_duration_is_said_in_few_words(seconds: int, said: str) -> None:
    """Two units at most, and whole ones."""
    assert words.duration(seconds) == words.duration(timedelta(seconds=seconds)) == said


@given(st.integers(min_value=0, max_value=10**7))
def test_a_duration_never_promises_more_than_there_is(seconds: int) -> None:
    """What is said, added up, is the duration or a little less, for countdowns and limits are said with it."""
    units = {"s": 1, "min": 60, "h": 3600, "hour": 3600, "hours": 3600, "days": 86_400}
    parts = words.duration(seconds).split(" ")
    added = sum(int(number) * units[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))
    assert added <= seconds < added + max(60, seconds // 10 + 1)


@pytest.mark.parametrize(
    ("style", "zone", "said"),
    [
        ("full", UTC, "3 Nov 2026, 13:02"),
        ("full", OSLO, "3 Nov 2026, 14:02"),
        ("full", TOKYO, "3 Nov 2026, 22:02"),
        ("time", OSLO, "14:02:07"),
        ("day", OSLO, "today at 14:02"),
    ],
)
def test_a_moment_is_said_in_the_readers_zone(style: str, zone: ZoneInfo, said: str) -> None:
    """The same moment, as each reader's clock shows it."""
    assert words.moment(NOW, reader=zone, now=NOW, style=style) == said


def test_days_are_the_readers_own() -> None:
    """What is late today in Oslo is tomorrow in Tokyo."""
    late = NOW.replace(hour=16)
    assert words.moment(late, reader=OSLO, now=NOW, style="day") == "today at 17:02"
    assert words.moment(late, reader=TOKYO, now=NOW, style="day") == "tomorrow at 01:02"
    assert words.moment(NOW - timedelta(days=1), reader=OSLO, now=NOW, style="day") == "yesterday at 14:02"
    assert words.moment(NOW - timedelta(days=9), reader=OSLO, now=NOW, style="day") == "25 Oct, 14:02"


def test_a_moment_on_a_page_is_exact_for_machines() -> None:
    """The element carries UTC, and on hover the reader's offset."""
    html = str(words.moment_html(NOW, reader=OSLO, now=NOW, style="time"))
    assert 'datetime="2026-11-03T13:02:07+00:00"' in html
    assert 'title="2026-11-03 14:02:07 UTC+01:00"' in html
    assert html.endswith(">14:02:07</time>")


@pytest.mark.parametrize("name", [None, "", "Nowhere/Atall", "../../etc/passwd", "/etc/passwd", "\x00", "Europe"])
def test_an_unknown_zone_is_utc(name: str | None) -> None:
    """Whatever stands in a row, pages are shown."""
    assert words.zone(name) is UTC


@pytest.mark.parametrize("name", ["Europe/Oslo", "America/St_Johns", "Asia/Kathmandu", "UTC"])
def test_a_known_zone_is_itself(name: str) -> None:
    """By its IANA name, also the crooked ones."""
    assert str(words.zone(name)) == name
