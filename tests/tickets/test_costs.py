"""No page and no step costs more than ``costs.toml`` says: what is counted here depends on no machine."""

from __future__ import annotations

import pytest

from tests.conftest import Build
from tests.tickets.costs import Cost, table, weighed

TOO_HIGH = 1.2


@pytest.fixture
def costs(build: Build) -> dict[str, Cost]:
    """What each page costs here."""
    return weighed(build(mail_url="none"))


def test_no_page_costs_more_than_its_ceiling_and_no_ceiling_is_more_than_a_fifth_too_high(
    costs: dict[str, Cost], database: str
) -> None:
    """A page that grew wants a look, and a reason; after one that shrank: `python -m tests.tickets.costs`."""
    ceilings = table()[database]
    assert costs.keys() == ceilings.keys()
    dearer = {name: (cost, ceilings[name]) for name, cost in costs.items() if not _within(cost, ceilings[name])}
    assert not dearer
    cheaper = {name: (cost, ceilings[name]) for name, cost in costs.items() if _too_high(ceilings[name], cost)}
    assert not cheaper


def _within(cost: Cost, most: Cost) -> bool:
    return cost.statements <= most.statements and cost.writes <= most.writes and cost.bytes <= most.bytes


def _too_high(most: Cost, cost: Cost) -> bool:
    """Tell whether a ceiling is more than a fifth too high; where the bytes are few, they come in steps of fifty."""
    counts = most.statements > TOO_HIGH * cost.statements or most.writes > TOO_HIGH * cost.writes
    return counts or most.bytes > TOO_HIGH * cost.bytes + 50
