"""A module for the setting `modules`: a job that notes each due time that it runs for, in a file of its own (P14)."""

from __future__ import annotations

import os
from datetime import timedelta

from flask import Flask
from sqlalchemy import text

from tempadmin.db import db
from tempadmin.jobs import Job, register
from tempadmin.runtime import Runtime

FILE = "beats"
# A process has one run of a job at a time, so its newest is the one that is at work.
MINE = "SELECT due_at FROM job_runs WHERE job = 'beats' AND holder LIKE :mine ORDER BY id DESC LIMIT 1"


def init_app(app: Flask) -> None:
    """Register the job."""
    description = "Notes when it ran"
    register(app, Job(name=FILE, description=description, schedule=timedelta(seconds=2), run=_note))


def _note(runtime: Runtime) -> str:
    due_at = db.session.execute(text(MINE), {"mine": f"%:{os.getpid()}:%"}).scalar_one()
    with (runtime.settings.data / FILE).open("a", encoding="utf-8") as lines:
        lines.write(f"{due_at.isoformat()}\n")  # one short write at the end of the file: nobody's is mixed with it
    return "noted"
