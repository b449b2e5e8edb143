"""Checks of the directories elsewhere, and of leftovers: what is there that should not be, and what is not (P1)."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask

from tempadmin.db import db
from tempadmin.doctor.findings import Check, Finding, checks, error, invariants, ok, warning
from tempadmin.runtime import Runtime
from tickets import directories, leftovers

SWEEP = "run: tempadmin cleanup --min-age 0s"


def init_app(app: Flask) -> None:
    """Register the check, and what of it is a promise."""
    checks(app).append(Check(name="directories", look=look))
    invariants(app).append(Check(name="P1", look=broken_promises))


def look(runtime: Runtime) -> Iterator[Finding]:
    """Yield every fault, or that there is none."""
    readings, bad = 0, False
    for reading in directories.read_all(runtime):
        readings += 1
        for finding in _findings(reading):
            bad = True
            yield finding
    for leftover in db.session.scalars(leftovers.oldest_first(attention_at=runtime.now())):
        bad = True
        tried = f"tried {leftover.failures} times: {leftover.last_error or 'no answer'}"
        yield error(
            f"{leftover.account_name} must go and is still there ({leftover.why}), {tried}",
            "see to that instance's directory; the removal is retried by itself",
        )
    if not bad:
        yield ok(f"{readings} directories elsewhere hold what the requests say")


def broken_promises(runtime: Runtime) -> Iterator[Finding]:
    """P1, in the directories themselves; what the removal job goes on with already is under way, and no fault."""
    bad = False
    for reading in directories.read_all(runtime):
        if reading.error is not None:
            bad = True
            yield error(f"the directory of {reading.instance_name} does not say what it has: {reading.error}", SWEEP)
        for stray in reading.strays:
            if stray.account is not None and not stray.noted:
                bad = True
                yield error(f"account {stray.name} is at {reading.instance_name}, and {stray.why}", SWEEP)
        for request in reading.gone:
            bad = True
            yield error(f"request {request.public_id} is {request.state}, and its account is gone elsewhere", SWEEP)
    if not bad:
        yield ok("no directory elsewhere has an account that no request entitles")


def _findings(reading: directories.Reading) -> Iterator[Finding]:
    if reading.error is not None:
        advice = "see to that directory; nothing else waits for it"
        yield warning(f"the directory of {reading.instance_name} does not answer: {reading.error}", advice)
    for stray in reading.strays:
        what = f"account {stray.name} is in the directory of {reading.instance_name}"
        if stray.account is None:
            yield warning(f"{what} and {stray.why}", "if nobody knows it, remove it there by hand")
        elif not stray.noted:
            yield error(f"{what}, and {stray.why}", SWEEP)
    for request in reading.gone:
        yield error(f"request {request.public_id} is {request.state}, and its account is gone elsewhere", SWEEP)
