"""What is measured of this machine's clock."""

from __future__ import annotations

from collections.abc import Iterator

from tempadmin.clock import DatabaseClock
from tempadmin.metrics.registry import Figure, Reading
from tempadmin.runtime import Runtime

SKEW = Figure(
    name="tempadmin_clock_skew_seconds", help="How far this machine's clock is ahead of the database's; not on SQLite."
)


def read(runtime: Runtime) -> Iterator[Reading]:
    """Tell the skew, as of the reading that the transaction before this one made, or a former one."""
    if isinstance(runtime.clock, DatabaseClock):
        yield SKEW.of(runtime.clock.skew.total_seconds())
