"""A module for the setting `modules`: a job of every second that takes longer, and notes when it begins and ends."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

from flask import Flask

from tempadmin.jobs import Job, register
from tempadmin.runtime import Runtime

FILE = "slowly"
TAKES_SECONDS = 1.5


def work(runtime: Runtime) -> str:
    notes = os.open(runtime.settings.data / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(notes, b"began\n")
    threading.Event().wait(TAKES_SECONDS)  # the work
    os.write(notes, b"ended\n")
    os.close(notes)
    return "done"


def init_app(app: Flask) -> None:
    register(app, Job(name="slowly", description="Takes its time", schedule=timedelta(seconds=1), run=work))
