"""Two processes that both believe that they lead, on PostgreSQL, and a leader that dies: no harm, and no long wait."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tempadmin.db import db
from tempadmin.jobs import jobs
from tempadmin.outbox.models import OutboxMessage
from tests.conftest import Build
from tests.scheduler.world import wait_for
from tests.tickets.evidence import events, faults, workers
from tests.tickets.scenes import new_scene
from tests.tickets.servers import PROGRAM, Server
from tests.world import World
from tickets.states import State

TAKE_OVER_SECONDS = 30
LEADER = "SELECT holder FROM scheduler_leases WHERE expires_at > now()"


def in_both(world: World, name: str) -> None:
    """Have two workers run a job at the same moment, each as if it led."""
    with workers(world, 2) as both:
        together = threading.Barrier(len(both))

        def run(one: World) -> str:
            with one.app.app_context():
                together.wait(20)
                return jobs(one.app)[name].run(one.runtime)

        with ThreadPoolExecutor(len(both)) as pool:
            list(pool.map(run, both))


@pytest.mark.only_postgresql
def test_p14_two_that_both_believe_to_lead_do_nothing_twice(build: Build) -> None:
    """Every request ends once, by one event each, its account goes, and no mail is sent a second time."""
    world = build(rate_limits=False)
    scenes = [new_scene(world, until) for until in (State.AWAITING_CONFIRMATION, State.READY, State.ACTIVE) * 3]
    world.clock.advance(hours=2)
    in_both(world, "expiry")
    in_both(world, "removal")
    in_both(world, "mail")
    world.clock.advance(minutes=2)
    for name in ("expiry", "removal", "mail"):
        in_both(world, name)
    for scene in scenes:
        assert world.request(scene.request_id).state == State.ENDED
        noted = events(scene.request_id)
        assert [noted.count(one) for one in ("access.ending", "access.ended")] == [1, 1], noted
    db.session.rollback()
    mails = db.session.scalars(select(OutboxMessage)).all()
    assert {(mail.attempts, mail.sent_at is None) for mail in mails if mail.last_error is None} == {(1, False)}
    sent = [mail for mail in mails if mail.sent_at is not None]
    assert len(world.mails()) == len(sent) > len(scenes)
    assert faults(world) == []


@contextmanager
def schedulers(server: Server, number: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Real ones, each a process of its own."""
    command = [*PROGRAM, "scheduler", "run"]
    children = [subprocess.Popen(command, env=server.environment, stderr=subprocess.DEVNULL) for _ in range(number)]
    try:
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(30)


@pytest.mark.only_postgresql
def test_p14_a_killed_leader_is_followed_within_thirty_seconds(tmp_path: Path, database_url: str) -> None:
    """SIGKILL without a word; the other one leads, and its first job has run, within the promised time."""
    server = Server(tmp_path / "data", operators=0, database_url=database_url, scheduler="external", mail_url="none")

    def leader() -> int:
        return next((int(row.holder.split(":")[-2]) for row in server.rows(LEADER)), 0)

    with schedulers(server, 2) as children:
        wait_for(lambda: leader() in {child.pid for child in children}, seconds=TAKE_OVER_SECONDS)
        (first,) = [child for child in children if child.pid == leader()]
        (second,) = [child for child in children if child is not first]
        done = f"SELECT id FROM job_runs WHERE outcome = 'done' AND holder LIKE '%:{second.pid}:%'"
        first.kill()
        begun = time.monotonic()
        first.wait(10)
        wait_for(lambda: server.rows(done), seconds=2 * TAKE_OVER_SECONDS)
        took = timedelta(seconds=time.monotonic() - begun)
        assert leader() == second.pid
    server.stop()
    assert took < timedelta(seconds=TAKE_OVER_SECONDS), took
