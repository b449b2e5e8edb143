"""All scenarios, the straight way first: what it meets need not be tried again with the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from tests.failpoints import (  # each fills the list
    straight_way,  # noqa: F401
    their_accesses,  # noqa: F401
    their_accounts,  # noqa: F401
    their_connections,  # noqa: F401
    their_entries,  # noqa: F401
    their_instances,  # noqa: F401
    their_jobs,  # noqa: F401
    their_products,  # noqa: F401
    their_prunes,  # noqa: F401
    their_remnants,  # noqa: F401
)
from tests.failpoints.stage import SCENARIOS, Scenario


def groups(*names: str) -> Iterator[list[Scenario]]:
    """Those of one file share a world and heal together: all of them, or those that are named."""
    chosen = (one for one in SCENARIOS.values() if not names or one.name in names)
    return (list(found) for _, found in groupby(chosen, lambda one: one.act.__module__))
