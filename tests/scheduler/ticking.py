"""A module for the setting `modules`: a job of every second that notes which process ran which due time."""

from __future__ import annotations

import os
from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from scheduler.models import JobRun
from tempadmin.db import db
from tempadmin.jobs import Job, register
from tempadmin.runtime import Runtime

FILE = "ticks"
EVERY = timedelta(seconds=1)


def tick(runtime: Runtime) -> str:
    at_work = select(JobRun.due_at).where(JobRun.job == "tick", JobRun.finished_at.is_(None))
    due_at = db.session.scalars(at_work.order_by(JobRun.id.desc())).first()
    line = f"{due_at} {os.getpid()}\n" if due_at else "none 0\n"
    ticks = os.open(runtime.settings.data / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(ticks, line.encode())
    os.close(ticks)
    return "ticked"


def init_app(app: Flask) -> None:
    register(app, Job(name="tick", description="Ticks", schedule=EVERY, run=tick))
