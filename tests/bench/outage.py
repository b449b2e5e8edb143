"""Thirty products of which three hang: how long until everybody else's account is gone.

``python -m tests.bench.outage`` measures this alone: the removal job as it runs by itself, each healthy product taking
50 ms for an account, a hanging one 5 s for nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from instances.connectors.base import Account, ConnectorError
from instances.connectors.local import LocalConnector
from instances.connectors.registry import connectors
from tempadmin.db import db
from tempadmin.jobs import by_itself
from tempadmin.logs import only_warnings
from tempadmin.serving import upgrade_database
from tests.bench import server
from tests.tickets.outages import FAR, come_true, ending, states
from tests.world import make_world
from tickets.expire import retry_due
from tickets.states import State

PRODUCTS, PEOPLE = 30, 2
ANSWERS_AFTER, GIVEN_UP_AFTER = 0.05, 5.0
Figures = dict[str, float]


class _Far(LocalConnector):
    batch = 1
    elsewhere = True
    joins = False

    def __init__(self, hanging: set[int]) -> None:
        self._hanging = hanging

    def remove(self, account: Account) -> None:
        hangs = account.instance_id in self._hanging
        threading.Event().wait(GIVEN_UP_AFTER if hangs else ANSWERS_AFTER)
        if hangs:
            raise ConnectorError("no whole answer within 5 s")
        super().remove(account)


def measure(kind: str) -> Figures:
    """Measure with and without an outage, each on a database of its own with full durability."""
    return {f"{hang} of {PRODUCTS} products hang: others gone after, s": _measure(kind, hang) for hang in (0, 3)}


def _measure(kind: str, hang: int) -> float:
    with tempfile.TemporaryDirectory() as folder, server.database(kind) as url:
        values = server.settings_for(Path(folder), 8000, url)
        changes: dict[str, Any] = {**values, "secret_keys": (values["secret_keys"],)}
        world = make_world(Path(folder), **changes)
        only_warnings()
        with world.app.app_context():
            upgrade_database()
            world.default_instance()
            places = [world.instance(f"p{number}", connector=FAR).id for number in range(PRODUCTS)]
            connectors(world.app)[FAR] = _Far(set(places[:hang]))
            ids = ending(world, places, people=PEOPLE)
            healthy = [one for one in ids if world.request(one).instance_id in places[hang:]]
            db.session.rollback()

            def job() -> None:
                with world.app.app_context(), by_itself(lambda: False):
                    retry_due(world.runtime)

            begun, thread = time.perf_counter(), threading.Thread(target=job)
            thread.start()
            come_true(lambda: set(states(healthy).values()) == {State.ENDED})
            took = time.perf_counter() - begun
            thread.join()
            db.session.remove()
            db.engine.dispose()
    return took


if __name__ == "__main__":
    for one in sys.argv[1:] or ["sqlite", "postgresql"]:
        sys.stdout.write(f"{one} {json.dumps(measure(one), indent=1)}\n")
