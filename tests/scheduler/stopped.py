"""A process of its own for the tests: its job writes, waits in the middle until it is let go, and writes again."""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from instances.models import VirtualInstance
from scheduler.process import SchedulerProcess
from tempadmin.db import db, transaction
from tempadmin.jobs import register
from tempadmin.runtime import Runtime
from tests.scheduler.world import make_app, make_job, wait_for

LEASE, RENEW_EVERY = timedelta(seconds=3), timedelta(seconds=1)
IN_THE_MIDDLE, GO_ON, DONE = "in-the-middle", "go-on", "done"


def main(data: Path, **settings: Any) -> None:
    def write(what: str, runtime: Runtime) -> None:
        name = f"{what}-{os.getpid()}"
        with transaction(as_service=True):
            db.session.add(
                VirtualInstance(web_id=name, name=name, virtual_hostname=f"{name}.x", created_at=runtime.now())
            )

    def work(runtime: Runtime) -> str:
        if (data / IN_THE_MIDDLE).exists():
            return "what the first one began is the first one's to finish"
        write("before", runtime)
        (data / IN_THE_MIDDLE).touch()
        wait_for((data / GO_ON).exists, seconds=60)
        try:
            write("after", runtime)
        finally:
            (data / DONE).touch()
        return "wrote"

    app = make_app(data, **settings)
    register(app, make_job(work, name="write", schedule=timedelta(seconds=1)))
    process = SchedulerProcess(app, lasts=LEASE, renew_every=RENEW_EVERY)
    process.start()
    sys.stdin.read()
    process.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), **dict(word.split("=", 1) for word in sys.argv[2:]))
