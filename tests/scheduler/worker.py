"""A process of its own for the tests: a scheduler with a job of every second, until its standard input closes."""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from scheduler.models import JobRun
from scheduler.process import SchedulerProcess
from tempadmin.db import db
from tempadmin.jobs import register
from tempadmin.runtime import Runtime
from tests.scheduler.world import make_app, make_job

LEASE, RENEW_EVERY = timedelta(seconds=3), timedelta(milliseconds=500)


def main(data: Path, **settings: Any) -> None:
    def tick(_runtime: Runtime) -> str:
        claimed = select(JobRun.due_at).where(JobRun.finished_at.is_(None)).order_by(JobRun.id.desc())
        line = f"{db.session.scalars(claimed).first():%H:%M:%S.%f} {os.getpid()}\n"
        ticks = os.open(data / "ticks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(ticks, line.encode())
        os.close(ticks)
        return "ticked"

    app = make_app(data, **settings)
    register(app, make_job(tick, name="tick", schedule=timedelta(seconds=1)))
    process = SchedulerProcess(app, lasts=LEASE, renew_every=RENEW_EVERY)
    process.start()
    sys.stdin.read()
    process.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), **dict(word.split("=", 1) for word in sys.argv[2:]))
