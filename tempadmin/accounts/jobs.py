"""The accounts' job: what nobody needs any more is forgotten daily."""

from __future__ import annotations

from flask import Flask

from tempadmin.accounts.housekeeping import tidy
from tempadmin.jobs import Job, register


def init_app(app: Flask) -> None:
    """Register the job."""
    register(
        app,
        Job(
            name="housekeeping",
            description="Forgets old counters, invitations, sessions and mails",
            schedule="40 3 * * *",
            run=tidy,
        ),
    )
