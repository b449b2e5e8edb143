"""Who may enter where, for how long: requests, tickets, the hand-off, and the removal of what was made."""

from __future__ import annotations

from flask import Flask

from tickets import (
    activity,
    anew,
    attention,
    authority,
    banners,
    belongings,
    composers,
    connection_page,
    console,
    demo,
    doctor,
    doctor_directories,
    entry,
    invariants,
    jobs,
    listing,
    metrics,
    moving,
    notices,
    portal,
    refusals,
    retention,
    support_pages,
    support_session,
)
from tickets.provider import anew as provider_anew
from tickets.provider import backchannel
from tickets.provider import console as provider_console
from tickets.provider import doctor as provider_doctor
from tickets.provider import jobs as provider_jobs
from tickets.provider import web as provider


def init_app(app: Flask) -> None:
    """Add on-demand access: pages, row action, mails, jobs, and the conditions of support sessions."""
    activity.init_app(app)
    attention.init_app(app)
    notices.init_app(app)
    composers.init_app(app)
    connection_page.init_app(app)
    console.init_app(app)
    entry.init_app(app)
    portal.init_app(app)
    provider.init_app(app)
    provider_console.init_app(app)
    provider_doctor.init_app(app)
    provider_anew.init_app(app)
    support_pages.init_app(app)
    support_session.init_app(app)
    banners.init_app(app)
    belongings.init_app(app)
    listing.init_app(app)
    authority.init_app(app)
    jobs.init_app(app)
    provider_jobs.init_app(app)
    backchannel.init_app(app)
    demo.init_app(app)
    doctor.init_app(app)
    doctor_directories.init_app(app)
    invariants.init_app(app)
    anew.init_app(app)
    metrics.init_app(app)
    moving.init_app(app)
    refusals.init_app(app)
    retention.init_app(app)
