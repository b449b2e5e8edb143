"""A process of its own for the tests: writes to an audit chain as fast as it can."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tempadmin.app import create_app
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import transaction
from tempadmin.runtime import Runtime, current_runtime
from tests.world import settings_for


def write(runtime: Runtime, instance_ids: Sequence[int], events: int) -> None:
    """Write to each chain, in this order, once in each of several transactions."""
    for number in range(events):
        with transaction():
            for instance_id in instance_ids:
                record("test.event", instance_id=instance_id, actor=SERVICE, at=runtime.now(), number=number)


def main(data: str, database_url: str, instance_id: str, events: str) -> None:
    app = create_app(settings_for(Path(data), database_url=database_url))
    with app.app_context():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        write(current_runtime(), [int(instance_id)], int(events))


if __name__ == "__main__":
    main(*sys.argv[1:])
