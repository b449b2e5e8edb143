"""What happens by itself, killed at each step."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from scheduler import lease, runs
from scheduler.models import JobState
from tempadmin.accounts.housekeeping import tidy
from tempadmin.accounts.models import Throttle
from tempadmin.audit.log import SERVICE
from tempadmin.backup.anew import begin_anew
from tempadmin.db import transaction
from tempadmin.errors import Conflict
from tempadmin.jobs import jobs
from tempadmin.outbox.models import OutboxMessage
from tempadmin.outbox.queue import composers, deliver, deliver_due
from tests.failpoints.stage import Cast, brought, killed
from tests.world import World
from tickets.anew import look_around
from tickets.states import State


def a_job_that_is_due(world: World) -> Cast:
    """A moment at which a job was due and did not run."""
    cast = brought()(world)
    cast.held["due"] = world.clock.now()
    return cast


@killed(a_job_that_is_due, one_by_one=True)
def leading_and_working(world: World, cast: Cast) -> None:
    runtime, holder, mail = world.runtime, lease.new_holder(), jobs(world.app)["mail"]
    epoch = lease.acquire(holder=holder, runtime=runtime)
    if epoch is None:
        raise Conflict("Somebody else leads.")
    runs.take_over(jobs(world.app).values(), runtime, epoch=epoch)
    with transaction() as session:  # it is overdue; the clock is everybody's
        session.execute(update(JobState).where(JobState.name == "mail").values(next_due_at=cast.held["due"]))
    runs.run_if_due(mail, runtime, epoch=epoch, holder=holder)
    with transaction() as session:  # and one of a clock that was ahead
        later = cast.held["due"] + timedelta(days=9)
        session.execute(update(JobState).where(JobState.name == "expiry").values(next_due_at=later))
    runs.keep_to_schedules(jobs(world.app).values(), runtime, epoch=epoch)
    lease.renew(holder=holder, epoch=epoch, runtime=runtime)
    lease.release(holder=holder, epoch=epoch, runtime=runtime)


@killed(brought(), one_by_one=True)
def running_a_job_now(world: World, cast: Cast) -> None:
    runs.run_now(name="expiry", asked_by=cast.scene.actor, runtime=world.runtime)


def old_counters(world: World) -> Cast:
    """A counter of long ago."""
    cast = brought()(world)
    with transaction() as session:
        before = world.clock.now() - timedelta(days=30)
        session.add(Throttle(key=f"old:{cast.scene.web_id}", failures=1, updated_at=before))
    return cast


@killed(old_counters)
def forgetting_what_is_old(world: World, cast: Cast) -> None:
    tidy(world.runtime)


def a_mail_that_cannot_be_made(world: World) -> Cast:
    """A mail whose words are missing, for as long as its cast says so."""
    cast = brought()(world)
    with transaction() as session:
        now = world.clock.now()
        mail = OutboxMessage(template="unmade", recipient="x@y.example", ids="{}", created_at=now, next_attempt_at=now)
        session.add(mail)
    cast.held["mail"] = mail.id
    composers(world.app)["unmade"] = lambda _ids, _secret, _runtime: None
    return cast


@killed(a_mail_that_cannot_be_made)
def failing_to_send_a_mail(world: World, cast: Cast) -> None:
    composers(world.app)["unmade"] = lambda ids, _secret, _runtime: {"missing": ids["missing"]}
    try:
        deliver(cast.held["mail"], world.runtime)
    finally:
        composers(world.app)["unmade"] = lambda _ids, _secret, _runtime: None


@killed(a_mail_that_cannot_be_made, one_by_one=True)
def sending_what_is_due(world: World, cast: Cast) -> None:
    deliver_due(world.runtime)


@killed(brought(State.ACTIVE), one_by_one=True)
def beginning_anew_after_a_restore(world: World, cast: Cast) -> None:
    begin_anew(actor=SERVICE, runtime=world.runtime)
    look_around(world.runtime)
