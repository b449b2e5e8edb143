"""The page *Jobs*: what is known, what went wrong, **Run now**, and who may see it."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from instances.models import VirtualInstance
from scheduler import lease, queries, runs
from scheduler.models import JobRun
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, OMNIADMIN, User
from tempadmin.accounts.sessions import open_session
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.jobs import register
from tempadmin.runtime import current_runtime
from tempadmin.web.security import SESSION_COOKIE
from tests.scheduler.world import NOON, FakeClock, make_job, rows

CONSOLE = "http://localhost:8000"


def sign_in(app: Flask, *, role: str = OMNIADMIN) -> FlaskClient:
    """A browser with a session of a new person on the default instance."""
    with app.app_context(), transaction() as session:
        default = session.scalars(select(VirtualInstance).where(VirtualInstance.is_default)).one()
        email = f"{role}@example.com"
        user = User(instance_id=default.id, role=role, email=email, full_name="Ada Holt", created_at=NOON)
        session.add(user)
        session.flush()
        secret = open_session(
            user=user,
            actor=Actor(id=user.id, name=user.full_name),
            now=NOON,
            lifetime=timedelta(days=1),
            idle=timedelta(days=1),
            mfa_at=NOON,
            runtime=current_runtime(),
        )
    client = app.test_client()
    client.set_cookie(SESSION_COOKIE, secret, domain="localhost")
    return client


def press_run_now(client: FlaskClient, name: str) -> TestResponse:
    page = client.get("/jobs", base_url=CONSOLE).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    return client.post(
        f"/jobs/{name}/run",
        base_url=CONSOLE,
        data={"csrf_token": token[1]},
        headers={"Origin": CONSOLE},
        follow_redirects=True,
    )


def test_the_page_shows_leader_schedule_last_and_next_run(app: Flask, clock: FakeClock) -> None:
    """An omniadmin sees who leads, how often each job runs, how it last went, and when it is due again."""
    job = make_job(schedule="0 3 * * *")
    register(app, job)
    client = sign_in(app)
    with app.app_context():
        runtime = current_runtime()
        epoch = lease.acquire(holder="host:17:abcd", runtime=runtime, lasts=timedelta(days=1))
        assert epoch is not None
        runs.take_over([job], runtime, epoch=epoch)
        clock.advance(hours=15)
        runs.run_if_due(job, runtime, epoch=epoch, holder="host:17:abcd")
        assert lease.renew(holder="host:17:abcd", epoch=epoch, runtime=runtime)
    page = client.get("/jobs", base_url=CONSOLE)
    assert page.status_code == 200
    for words in ("host:17:abcd", "tidy", "Tidies", "every day at 03:00 UTC", "done", "tidied", "2026-11-05T03:00:00"):
        assert words in page.text
    assert "No scheduler is running" not in page.text


def test_without_a_leader_the_page_says_so(app: Flask, clock: FakeClock) -> None:
    """A lease that lapsed is nobody's: the page says that nothing happens by itself."""
    register(app, make_job())
    client = sign_in(app)
    with app.app_context():
        lease.acquire(holder="host:17:abcd", runtime=current_runtime())
    assert "host:17:abcd" in client.get("/jobs", base_url=CONSOLE).text
    clock.advance(seconds=20)
    page = client.get("/jobs", base_url=CONSOLE).text
    assert "No scheduler is running" in page
    assert "host:17:abcd" not in page


def test_run_now_runs_the_job_and_says_how_it_went(app: Flask) -> None:
    """The answer tells what the job did, and the list who asked for it."""
    register(app, make_job())
    answer = press_run_now(sign_in(app), "tidy")
    assert answer.status_code == 200
    assert "tidy: tidied" in answer.text
    assert "asked for by Ada Holt" in answer.text


def test_p12_a_failure_is_told_without_its_words(app: Flask) -> None:
    """The person learns that it failed and what kind of error it was; the text stays in the log."""

    def work(_runtime: object) -> str:
        raise LookupError("very secret")

    register(app, make_job(work))
    answer = press_run_now(sign_in(app), "tidy")
    assert "tidy failed (LookupError)" in answer.text
    assert "very secret" not in answer.text


def test_an_unknown_job_is_not_found(app: Flask) -> None:
    """A name from an old page, or a made-up one, is 404."""
    register(app, make_job())
    assert press_run_now(sign_in(app), "other").status_code == 404


def test_s02_a_get_runs_nothing(app: Flask) -> None:
    """The button's address answers to POST alone."""
    register(app, make_job())
    client = sign_in(app)
    for _ in range(3):
        assert client.get("/jobs/tidy/run", base_url=CONSOLE).status_code in (404, 405)
        assert client.head("/jobs/tidy/run", base_url=CONSOLE).status_code in (404, 405)
        client.get("/jobs", base_url=CONSOLE)
    assert rows(app, select(JobRun)) == []


def test_s34_a_foreign_page_presses_nothing(app: Flask) -> None:
    """Without a token, or from another origin, the job does not run."""
    register(app, make_job())
    client = sign_in(app)
    for headers in ({"Origin": CONSOLE}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        assert client.post("/jobs/tidy/run", base_url=CONSOLE, headers=headers).status_code == 403
    assert rows(app, select(JobRun)) == []


@pytest.mark.parametrize("role", [MEMBER, ADMINISTRATOR])
def test_s32_other_roles_see_nothing(app: Flask, role: str) -> None:
    """Members and administrators of the default instance may neither look nor press."""
    register(app, make_job())
    client = sign_in(app, role=role)
    assert client.get("/jobs", base_url=CONSOLE).status_code == 403
    assert client.post("/jobs/tidy/run", base_url=CONSOLE, headers={"Origin": CONSOLE}).status_code == 403


def test_s32_a_customer_s_host_has_no_such_page(app: Flask) -> None:
    """On every other host the page does not exist."""
    with app.app_context(), transaction():
        db.session.add(VirtualInstance(web_id="acme", name="Acme", virtual_hostname="acme.localhost", created_at=NOON))
    client, base = sign_in(app), "http://acme.localhost:8000"
    assert client.get("/jobs", base_url=base).status_code == 404
    assert client.post("/jobs/tidy/run", base_url=base, headers={"Origin": base}).status_code == 404


def test_s30_whoever_is_not_signed_in_is_led_to_sign_in(app: Flask) -> None:
    """A GET goes to the sign-in page, a POST is refused."""
    client = app.test_client()
    answer = client.get("/jobs", base_url=CONSOLE)
    assert (answer.status_code, answer.location) == (302, "/login")
    assert client.post("/jobs/tidy/run", base_url=CONSOLE, headers={"Origin": CONSOLE}).status_code == 403


def test_s41_what_a_job_says_is_escaped(app: Flask) -> None:
    """Markup in a job's sentence is text on the page."""
    register(app, make_job(lambda _runtime: "<script>alert(1)</script>"))
    answer = press_run_now(sign_in(app), "tidy")
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert" in answer.text


def test_a_run_at_work_is_shown_as_such(app: Flask) -> None:
    """Without an outcome there is a start and no end."""
    job = make_job()
    with app.app_context():
        with transaction():
            db.session.add(JobRun(job="tidy", due_at=NOON, holder="h", started_at=NOON))
        (row,) = queries.job_rows([job], NOON)
    assert row.last_run == queries.LastRun(started_at=NOON, finished_at=None, outcome=None, detail=None)
    assert row.next_due == NOON + timedelta(hours=15)
