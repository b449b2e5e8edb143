"""The outbox's job: what could not be sent at once is sent later."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

from tempadmin.jobs import Job, register
from tempadmin.metrics.registry import registry
from tempadmin.outbox import metrics
from tempadmin.outbox.queue import deliver_due


def init_app(app: Flask) -> None:
    """Register the job, and what is measured of the queue."""
    registry(app).sources.append(metrics.read)
    register(
        app,
        Job(
            name="mail",
            description="Sends the mails that wait",
            schedule=timedelta(seconds=10),
            run=deliver_due,
        ),
    )
