"""What is to be done elsewhere before an account is removed: telling its product, asking what it made.

Each step is part of every attempt, so it has to know by itself what it did before. One that does not go through keeps
its request from being called ended, with its word as the error (P11), and never the account from being deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import NamedTuple, cast

import structlog
from flask import Flask, current_app

from instances.connectors import patience
from instances.connectors.base import ConnectorError
from tempadmin.db import db, is_outage
from tempadmin.runtime import Runtime

EXTENSION = "tickets.before_removal"

Do = Callable[[Sequence[int], Runtime], Mapping[int, str]]
"""Gets the ids of requests that are ending, outside any transaction; returns by id, in words, what is not done yet."""


class Step(NamedTuple):
    """One thing to be done elsewhere."""

    do: Do
    concerns: Callable[[str, str], bool] = lambda _connector, _entry: True
    """Tells of a connector and a kind of entry whether there may be anything to do for requests that have them."""


log = structlog.get_logger()


def before_removal(app: Flask) -> list[Step]:
    """Return the steps, in order; modules add theirs at start-up."""
    return cast("list[Step]", app.extensions.setdefault(EXTENSION, []))


def concerns(kind: tuple[str, str]) -> bool:
    """Tell of requests of a connector and a kind of entry whether there may be anything to do."""
    return any(step.concerns(*kind) for step in before_removal(current_app))


def do_all(request_ids: Sequence[int], runtime: Runtime) -> dict[int, str]:
    """Take every step for a batch; return by request what is not done yet, the first thing of each.

    Where somebody waits, half of the time is left for the removal itself.
    """
    unfinished: dict[int, str] = {}
    left = patience.seconds_left()
    with nullcontext() if left is None else patience.at_most(timedelta(seconds=left / 2)):
        for step in before_removal(current_app):
            unfinished = {**_take(step, request_ids, runtime), **unfinished}
    return unfinished


def _take(step: Step, request_ids: Sequence[int], runtime: Runtime) -> Mapping[int, str]:
    try:
        return step.do(request_ids, runtime)
    except ConnectorError as error:
        return dict.fromkeys(request_ids, str(error))
    except Exception as error:
        db.session.rollback()
        if is_outage(error):
            raise
        log.exception("removal.step_failed", step=step.do.__name__, request_ids=list(request_ids))
        return dict.fromkeys(request_ids, type(error).__name__)
