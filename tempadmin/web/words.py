"""How pages and mails say moments and durations (``../shared/pages``: in words, in the reader's time zone)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup

MINUTE, HOUR, DAY = 60, 3600, 86_400
TEN_MINUTES = 600


def zone(name: str | None) -> tzinfo:
    """Return a time zone by its IANA name; UTC without a name or with an unknown one."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):  # "Europe" is a folder
        return UTC


def duration(value: timedelta | float) -> str:
    """Say a duration: ``8 s``, ``3 min 41 s``, ``22 min``, ``1 hour``, ``1 h 30 min``, ``2 days``."""
    try:
        seconds = int(value.total_seconds() if isinstance(value, timedelta) else value)
    except ValueError:  # SQLite keeps any text; the page that shows it is how somebody finds out (S36)
        return "unreadable"
    if seconds < MINUTE:
        return f"{max(seconds, 0)} s"
    if seconds < TEN_MINUTES and seconds % MINUTE:
        return f"{seconds // MINUTE} min {seconds % MINUTE} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds % DAY == 0 and seconds > DAY:
        return f"{seconds // DAY} days"
    hours, minutes = seconds // HOUR, seconds % HOUR // MINUTE
    whole = "1 hour" if hours == 1 else f"{hours} hours"
    return f"{hours} h {minutes} min" if minutes else whole


def moment(value: datetime, *, reader: tzinfo, now: datetime, style: str = "full") -> str:
    """Say a moment in the reader's zone.

    Parameters
    ----------
    style
        ``full`` (3 Nov 2026, 14:02), ``time`` (14:02:07), ``day`` (today at 14:02; else 3 Nov, 14:02) or ``step``
        (14:02:07 today; else 3 Nov, 14:02).
    """
    here = value.astimezone(reader)
    if style == "step":
        style = "time" if here.date() == now.astimezone(reader).date() else "day"
    if style == "time":
        return f"{here:%H:%M:%S}"
    if style == "day":
        days = (here.date() - now.astimezone(reader).date()).days
        named = {0: "today", 1: "tomorrow", -1: "yesterday"}.get(days)
        return f"{named} at {here:%H:%M}" if named else f"{here.day} {here:%b}, {here:%H:%M}"
    return f"{here.day} {here:%b %Y}, {here:%H:%M}"


def moment_in_mail(value: datetime, *, zone_name: str | None) -> str:
    """Say a moment in the reader's zone with UTC beside it, both with their dates: a mail is read on another day."""
    utc = f"{moment(value, reader=UTC, now=value)} UTC"
    return f"{moment(value, reader=zone(zone_name), now=value)} ({utc})" if zone_name else utc


def moment_html(value: datetime, *, reader: tzinfo, now: datetime, style: str = "full") -> Markup:
    """Say a moment as a ``<time>`` element: exact for machines, with the offset on hover for people."""
    here = value.astimezone(reader)
    offset = here.strftime("%z")
    title = f"{here:%Y-%m-%d %H:%M:%S} UTC{offset[:3]}:{offset[3:]}"
    said = moment(value, reader=reader, now=now, style=style)
    return Markup('<time datetime="{}" title="{}" data-local="{}">{}</time>').format(
        value.astimezone(UTC).isoformat(timespec="seconds"), title, style, said
    )
