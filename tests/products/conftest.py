"""Real products, each in an environment of its own that `make products` fills; never a part of the default run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.examples.connected import Supported
from tests.tickets.servers import Server


@pytest.fixture
def elsewhere() -> Path:
    """The folder with the products: `jupyterhub`, an environment, and `node_modules` with openid-client and a proxy."""
    named = os.environ.get("PRODUCTS")
    if named is None:
        pytest.fail("PRODUCTS names no folder; run: make products")
    return Path(named).absolute()


@pytest.fixture
def support(tmp_path: Path) -> Iterator[Callable[..., Supported]]:
    """A tempadmin that is not started yet: the product's secret is made before."""
    made: list[Server] = []

    def make(**settings: str) -> Supported:
        made.append(Server(tmp_path / "tempadmin", operators=3, mail_url="none", **settings))
        return Supported(made[-1])

    yield make
    for server in made:
        server.stop()
