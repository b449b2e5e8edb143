"""The jobs of on-demand access: ends on time, removals until they succeed, and the daily sweep."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

from tempadmin.jobs import Job, register
from tempadmin.runtime import EXTENSION, Runtime
from tickets import attention, by_hand, leftovers, retry
from tickets.activation import activate_due
from tickets.expire import expire_due
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
    done = retry.go_on([leftovers.LEFTOVERS, by_hand.LOOKS], runtime)
    told = attention.tell_omniadmins(runtime)
    first = {word: done.pop(word, 0) for word in (retry.MADE, retry.REMOVED)}
    besides = {word: count for word, count in [*done.items(), ("told of", told)] if count}
    return ", ".join(f"{count} {word}" for word, count in (first | besides).items())


def _clean_up(runtime: Runtime) -> str:
    swept = sweep(min_age=runtime.settings.cleanup_min_age, runtime=runtime)
    return "; ".join([f"{swept.gone} of {swept.found} leftovers removed", *swept.told])
