"""The jobs of on-demand access: ends on time, removals until they succeed, and the daily sweep."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

from tempadmin.jobs import Job, register
from tempadmin.runtime import EXTENSION, Runtime
from tickets import attention, by_hand
from tickets.activation import activate_due
from tickets.expire import expire_due, retry_due
from tickets.leftovers import remove_due
from tickets.sweep import sweep


def init_app(app: Flask) -> None:
    """Register the jobs; ``cleanup_enabled`` governs the sweep alone, never expiry or removal (design §7)."""
    runtime: Runtime = app.extensions[EXTENSION]
    register(
        app,
        Job(
            name="expiry",
            description="Ends what is over: lapsed requests, time limits, idle sessions",
            schedule=timedelta(seconds=10),
            run=expire_due,
        ),
    )
    register(
        app,
        Job(
            name="removal",
            description="Goes on with making and removing accounts, until it is done",
            schedule=timedelta(seconds=5),
            run=_go_on,
        ),
    )
    register(
        app,
        Job(
            name="activation",
            description="Goes on with letting accounts in that are kept elsewhere",
            schedule=timedelta(seconds=5),
            run=activate_due,
        ),
    )
    if runtime.settings.cleanup_enabled:
        register(
            app,
            Job(
                name="cleanup",
                description="The daily sweep of whatever the other paths left behind",
                schedule=runtime.settings.cleanup_schedule,
                run=_clean_up,
            ),
        )


def _go_on(runtime: Runtime) -> str:
    said = retry_due(runtime)
    besides = {
        "leftovers gone": remove_due(runtime),
        "removed by hand": by_hand.look_again(runtime),
        "told of": attention.tell_omniadmins(runtime),
    }
    return ", ".join([said, *(f"{count} {what}" for what, count in besides.items() if count)])


def _clean_up(runtime: Runtime) -> str:
    swept = sweep(min_age=runtime.settings.cleanup_min_age, runtime=runtime)
    return "; ".join([f"{swept.gone} of {swept.found} leftovers removed", *swept.told])
