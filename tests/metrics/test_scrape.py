"""What a scrape says: the truth of the database, what was counted, and nothing that names anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from sqlalchemy import update

from scheduler import lease, runs
from tempadmin.db import transaction
from tempadmin.jobs import Job, jobs
from tempadmin.outbox.models import OutboxMessage
from tests.metrics.scraping import scrape
from tests.world import CONSOLE, World
from tickets.leftover_model import Leftover
from tickets.models import AccessRequest
from tickets.refusals import Why
from tickets.states import State

JOBS = {
    "activation",
    "after-restore",
    "audit-heads",
    "backup-mark",
    "cleanup",
    "expiry",
    "housekeeping",
    "mail",
    "oidc-keys",
    "removal",
}
OUTCOMES, PURPOSES = {"done", "failed", "lost"}, {"confirm", "login"}
# Every metric with its labels and all values that they may have; a new one is decided about here.
LABELS: dict[str, Mapping[str, set[str] | None]] = {
    "tempadmin_up": {},
    "tempadmin_access_requests": {"state": {str(state) for state in State}},
    "tempadmin_tickets_issued_total": {"purpose": PURPOSES},
    "tempadmin_tickets_redeemed_total": {"purpose": PURPOSES},
    "tempadmin_tickets_refused_total": {"purpose": PURPOSES, "reason": {str(why) for why in Why}},
    "tempadmin_removals_pending": {},
    "tempadmin_removals_stuck": {},
    "tempadmin_removals_by_hand": {},
    "tempadmin_removals_failed_attempts": {},
    "tempadmin_removals_oldest_seconds": {},
    "tempadmin_leftovers": {},
    "tempadmin_leftovers_stuck": {},
    "tempadmin_clock_skew_seconds": {},
    "tempadmin_mails_waiting": {},
    "tempadmin_mails_oldest_waiting_seconds": {},
    "tempadmin_mails_given_up": {},
    "tempadmin_scheduler_leads": {},
    "tempadmin_scheduler_heartbeat_age_seconds": {},
    "tempadmin_scheduler_take_overs_total": {},
    "tempadmin_job_runs_total": {"job_name": JOBS, "outcome": OUTCOMES},
    "tempadmin_job_run_seconds_total": {"job_name": JOBS, "outcome": OUTCOMES},
    "tempadmin_job_failing": {"job_name": JOBS},
    "tempadmin_job_overdue_seconds": {"job_name": JOBS},
    "tempadmin_http_request_duration_seconds_bucket": {"route": None, "method": None, "status": None, "le": None},
    "tempadmin_http_request_duration_seconds_count": {"route": None, "method": None, "status": None},
    "tempadmin_http_request_duration_seconds_sum": {"route": None, "method": None, "status": None},
}


def lead(world: World) -> int:
    epoch = lease.acquire(holder="somebody", runtime=world.runtime)
    assert epoch is not None
    runs.take_over(jobs(world.app).values(), world.runtime, epoch=epoch)
    return epoch


def test_s30_no_label_grows_with_what_people_do(told: World) -> None:
    """The metrics are these; their labels' values are few and known; a route is named, never its address."""
    lead(told)
    browser = told.signed_in()
    told.enter(browser)
    for path in ("/nothing/at/all", "/access/abcdefghijklmnopqrstuv", "/users/17"):
        browser.get(CONSOLE + path)
    browser.get(CONSOLE + "/", method="BREW")
    found = scrape(told)
    assert found.names() == set(LABELS) - {"tempadmin_clock_skew_seconds"}  # the test's clock is nobody's
    endpoints = {rule.endpoint for rule in told.app.url_map.iter_rules()} | {"none"}
    for name, labels in LABELS.items():
        for sample in found.labels(name):
            assert set(sample) == set(labels)
            assert all(allowed is None or sample[label] in allowed for label, allowed in labels.items()), (name, sample)
            assert sample.get("route", "none") in endpoints
            assert sample.get("method", "GET") in {"GET", "HEAD", "POST", "OPTIONS", "other"}
            assert re.fullmatch(r"[1-5]xx", sample.get("status", "2xx"))
    assert found.value("tempadmin_http_request_duration_seconds_count", route="none", method="GET", status="4xx") >= 1


def test_names_and_kinds_follow_prometheus(told: World) -> None:
    """Counters end in _total, and nothing else does; times are in seconds."""
    found = scrape(told)
    assert all(name.startswith("tempadmin_") for name in found.names())
    counters = {f"{name}_total" for name, kind in found.kinds.items() if kind == "counter"}
    assert {name for name in LABELS if name.endswith("_total")} == counters
    assert set(found.kinds.values()) == {"counter", "gauge", "histogram"}


def test_requests_and_tickets_are_counted_from_their_rows(told: World) -> None:
    """The whole way in: one request, its two tickets made and used; it stands where the database says."""
    browser = told.signed_in()
    told.ask(browser, "acme")
    first = scrape(told)
    assert first.value("tempadmin_access_requests", state="awaiting_confirmation") == 1
    assert first.value("tempadmin_tickets_issued_total", purpose="confirm") == 1
    assert first.value("tempadmin_tickets_redeemed_total", purpose="confirm") == 0
    browser.get(told.confirm(browser), follow=True)
    then = scrape(told)
    assert then.value("tempadmin_access_requests", state="active") == 1
    assert then.value("tempadmin_access_requests", state="awaiting_confirmation") == 0
    for purpose in PURPOSES:
        assert then.value("tempadmin_tickets_issued_total", purpose=purpose) == 1
        assert then.value("tempadmin_tickets_redeemed_total", purpose=purpose) == 1


def test_p11_removals_that_do_not_go_through_are_told(told: World) -> None:
    """Pending, stuck, how often they failed, and since when the oldest waits."""
    told.enter(told.signed_in())
    ending = {"state": "ending", "end_reason": "logout", "ending_at": told.clock.now(), "removal_failures": 4}
    with transaction() as session:
        session.execute(update(AccessRequest).values(**ending))
    told.clock.advance(seconds=90)
    found = scrape(told)
    assert found.value("tempadmin_removals_pending") == found.value("tempadmin_removals_stuck") == 1
    assert found.value("tempadmin_removals_failed_attempts") == 4
    assert found.value("tempadmin_removals_oldest_seconds") == 90


def test_p11_leftovers_are_told(told: World) -> None:
    """What must go and belongs to no request; after a quarter of an hour it needs attention."""
    now = told.clock.now()
    words = dict.fromkeys(("connector", "account_name", "account_email", "marker", "why"), "x")
    with transaction() as session:
        session.add(Leftover(instance_id=1, user_id=1, request_id=0, found_at=now, next_attempt_at=now, **words))
    assert (scrape(told).value("tempadmin_leftovers"), scrape(told).value("tempadmin_leftovers_stuck")) == (1, 0)
    told.clock.advance(minutes=15)
    assert (scrape(told).value("tempadmin_leftovers"), scrape(told).value("tempadmin_leftovers_stuck")) == (1, 1)


def test_the_mails_that_wait_and_those_given_up_are_told(told: World) -> None:
    """What became pointless is no failure."""
    now = told.clock.now()
    waits = {"next_attempt_at": now, "last_error": "the server said no"}
    for columns in (
        waits,
        waits,
        {"last_error": "no such address"},
        {"last_error": "pointless by the time it could be sent"},
    ):
        with transaction() as session:
            session.add(OutboxMessage(template="x", recipient="x@y.example", ids="{}", created_at=now, **columns))
    told.clock.advance(minutes=7)
    found = scrape(told)
    assert found.value("tempadmin_mails_waiting") == 2
    assert found.value("tempadmin_mails_oldest_waiting_seconds") == 420
    assert found.value("tempadmin_mails_given_up") == 1


def test_p14_runs_are_counted_by_job_and_outcome(told: World) -> None:
    """Also those whose rows are not kept: done, failed, lost with their process, and for how long they worked."""

    def work(_runtime: object) -> str:
        told.clock.advance(seconds=3)
        if scrape(told).value("tempadmin_job_runs_total", job_name="mail", outcome="done") == 2:
            raise RuntimeError
        return "worked"

    known = jobs(told.app)
    known["mail"] = Job(name="mail", description="", schedule=known["mail"].schedule, run=work)
    epoch = lead(told)
    for _ in range(3):
        told.clock.advance(seconds=10)
        lease.renew(holder="somebody", epoch=epoch, runtime=told.runtime)
        assert runs.run_if_due(known["mail"], told.runtime, epoch=epoch, holder="somebody") is not None
    found = scrape(told)
    assert found.value("tempadmin_job_runs_total", job_name="mail", outcome="done") == 2
    assert found.value("tempadmin_job_runs_total", job_name="mail", outcome="failed") == 1
    assert found.value("tempadmin_job_run_seconds_total", job_name="mail", outcome="done") == pytest.approx(6)
    assert found.value("tempadmin_job_run_seconds_total", job_name="mail", outcome="failed") == pytest.approx(3)
    assert found.value("tempadmin_job_failing", job_name="mail") == 1
    assert found.value("tempadmin_job_failing", job_name="expiry") == 0
    assert found.value("tempadmin_job_overdue_seconds", job_name="expiry") > 0


def test_p14_a_run_that_died_is_counted_by_whoever_takes_over(told: World) -> None:
    """Its process can say nothing more."""
    epoch, job = lead(told), jobs(told.app)["mail"]
    told.clock.advance(seconds=10)
    runs._claim(job, told.runtime, epoch=epoch, holder="somebody")
    told.clock.advance(seconds=60)
    lead(told)
    found = scrape(told)
    assert found.value("tempadmin_job_runs_total", job_name="mail", outcome="lost") == 1
    assert found.value("tempadmin_scheduler_take_overs_total") == 2


def test_the_heartbeat_tells_when_no_scheduler_runs(told: World) -> None:
    """No age before the first beat, none as long as it leads, and a growing one after."""
    assert "tempadmin_scheduler_heartbeat_age_seconds" not in scrape(told).names()
    lead(told)
    found = scrape(told)
    assert (found.value("tempadmin_scheduler_leads"), found.value("tempadmin_scheduler_heartbeat_age_seconds")) == (
        1,
        0,
    )
    told.clock.advance(seconds=95)
    found = scrape(told)
    assert (found.value("tempadmin_scheduler_leads"), found.value("tempadmin_scheduler_heartbeat_age_seconds")) == (
        0,
        95,
    )
