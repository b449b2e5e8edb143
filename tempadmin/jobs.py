"""What may be run by itself: the registries that modules fill; ``scheduler`` reads the jobs, ``serving`` the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from flask import Flask

from tempadmin.runtime import Runtime

EXTENSION, BACKGROUND = "tempadmin.jobs", "tempadmin.background"
BEATS, BEFORE_SERVING = "tempadmin.beats", "tempadmin.before_serving"

Stopper = Callable[[], None]

_stopping: ContextVar[Callable[[], bool] | None] = ContextVar("stopping", default=None)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A repeatable piece of work.

    ``run`` gets the runtime inside an application context and returns a sentence about what it did. It must be
    harmless when it runs twice, or at the same time on two machines (P14 makes that rare, not impossible).
    """

    name: str
    description: str
    schedule: timedelta | str
    """An interval, or a crontab expression in UTC."""
    run: Callable[[Runtime], str]


def jobs(app: Flask) -> dict[str, Job]:
    """Return the application's jobs by name."""
    return cast("dict[str, Job]", app.extensions.setdefault(EXTENSION, {}))


def register(app: Flask, job: Job) -> None:
    """Add a job; a name can be taken once."""
    if job.name in jobs(app):
        raise ValueError(f"the job {job.name!r} is registered already")
    jobs(app)[job.name] = job


def background(app: Flask) -> list[Callable[[Flask], Stopper]]:
    """Return what modules want running beside the pages; each starts something and hands back how it is stopped."""
    return cast("list[Callable[[Flask], Stopper]]", app.extensions.setdefault(BACKGROUND, []))


def beats(app: Flask) -> list[Callable[[Runtime], object]]:
    """Return what each scheduler does at every heartbeat, before it leads; one that raises keeps it from leading."""
    return cast("list[Callable[[Runtime], object]]", app.extensions.setdefault(BEATS, []))


def before_serving(app: Flask) -> list[Callable[[Runtime], None]]:
    """Return what modules see to before anything is served; each raises ``SettingsError`` where it must not be."""
    return cast("list[Callable[[Runtime], None]]", app.extensions.setdefault(BEFORE_SERVING, []))


@contextmanager
def by_itself(stopping: Callable[[], bool]) -> Iterator[None]:
    """Say that what is done meanwhile nobody waits for, and by what it learns that its process is to stop."""
    token = _stopping.set(stopping)
    try:
        yield
    finally:
        _stopping.reset(token)


def somebody_waits() -> bool:
    """Tell whether a person waits for this work; a job that runs by itself leaves to others what takes long."""
    return _stopping.get() is None


def may_go_on() -> bool:
    """Tell whether long work may begin its next step: not while its process waits for it to be over."""
    stopping = _stopping.get()
    return stopping is None or not stopping()
