"""A server to be killed, on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tickets.killed import KilledServer


@pytest.fixture
def killed(tmp_path: Path, database_url: str | None) -> Iterator[Callable[..., KilledServer]]:
    """Make servers; whatever still runs at the test's end is stopped."""
    made: list[KilledServer] = []

    def make(**settings: str) -> KilledServer:
        where = {} if database_url is None else {"database_url": database_url}
        made.append(KilledServer(tmp_path / "data", **where, **settings))
        return made[-1]

    yield make
    for server in made:
        server.stop()
