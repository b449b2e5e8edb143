from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tempadmin.runtime import Runtime, current_runtime
from tests.scheduler.world import FakeClock, close_all, fill, make_app


@pytest.fixture(autouse=True)
def _connections() -> Iterator[None]:
    """No test leaves a connection open."""
    yield
    close_all()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(tmp_path: Path, clock: FakeClock) -> Flask:
    """An application without an open context: tests that need one push their own."""
    made = make_app(tmp_path, clock)
    fill(made)
    return made


@pytest.fixture
def runtime(app: Flask) -> Iterator[Runtime]:
    """The runtime, within an application context."""
    with app.app_context():
        yield current_runtime()
