import pytest

from tests.conftest import Build
from tests.metrics.scraping import TOKEN
from tests.world import World


@pytest.fixture
def told(build: Build) -> World:
    """A world with metrics, an omniadmin and a customer."""
    world = build(metrics_token=TOKEN)
    world.omniadmin()
    world.instance("acme", "Acme Logistics")
    return world
