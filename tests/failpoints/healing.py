"""What happens by itself after a kill: a scheduler starts, leads and works; and what must hold then."""

from __future__ import annotations

from sqlalchemy import select, update

from instances.models import VirtualInstance
from scheduler import lease, runs
from scheduler.models import DONE
from tempadmin.accounts.models import OMNIADMIN, TEMPORARY, LoginSession, User
from tempadmin.db import db, transaction
from tempadmin.doctor import contents
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Check, Level, checks, examine
from tempadmin.jobs import beats, jobs
from tempadmin.outbox.models import OutboxMessage
from tests.failpoints.stage import accounts_elsewhere
from tests.world import World
from tickets import drill_live
from tickets.models import AccessRequest, Ticket
from tickets.states import State

GROUND_FLOOR = [
    Check(name="keys", look=contents.keys, needs=None),
    Check(name="audit", look=contents.audit_heads, needs=None),
    Check(name="people", look=contents.people, needs=None),
    Check(name="outbox", look=contents.outbox, needs=None),
]
UNPROVEN = "looks like ours, not proven: left alone"
"""Accounts of which we tell, and never more."""
ON_THEIR_WAY = (State.PROVISIONING, State.ENDING)


class Healing:
    """The world after a restart."""

    def __init__(self, world: World) -> None:
        self.world = world

    def restart(self, after: int) -> list[str]:
        """Start a scheduler so many seconds later, as its process does; say what it could not do."""
        runtime, registered = self.world.runtime, jobs(self.world.app)
        self.world.clock.advance(seconds=after)
        db.session.rollback()
        for look in beats(self.world.app):
            look(runtime)
        holder = lease.new_holder()
        epoch = lease.acquire(holder=holder, runtime=runtime)
        if epoch is None:
            return ["nobody can lead"]
        runs.take_over(registered.values(), runtime, epoch=epoch)
        runs.keep_to_schedules(registered.values(), runtime, epoch=epoch)
        problems = []
        for job in registered.values():
            finished = runs.run_if_due(job, runtime, epoch=epoch, holder=holder)
            if finished is not None and finished.outcome != DONE:
                problems.append(f"the job {job.name} {finished.outcome}: {finished.detail}")
        lease.release(holder=holder, epoch=epoch, runtime=runtime)
        return problems

    def go_home(self) -> None:
        """Those who played are not told of what others do, and their directories not asked; by hand, off the record."""
        with transaction(as_service=True) as session:
            session.execute(update(User).where(User.role == OMNIADMIN).values(active=False))
            others = VirtualInstance.web_id != drill_live.WEB_ID
            session.execute(update(VirtualInstance).where(others).values(connector="local"))

    def is_at_work(self) -> bool:
        """Whether anything still waits for its turn."""
        db.session.rollback()
        mails = select(OutboxMessage.id).where(OutboxMessage.next_attempt_at.is_not(None))
        accesses = select(AccessRequest.id).where(AccessRequest.state != State.ENDED)
        return db.session.scalar(mails.limit(1)) is not None or db.session.scalar(accesses.limit(1)) is not None

    def unsettled(self) -> list[str]:
        """What does not fit, or is still on its way, once the jobs have gone on with it."""
        db.session.rollback()
        waiting = select(AccessRequest).where(AccessRequest.state.in_(ON_THEIR_WAY))
        found = [f"{one.instance_name}: still {one.state} ({one.last_error})" for one in db.session.scalars(waiting)]
        shut = select(AccessRequest).where(
            AccessRequest.state == State.ACTIVE, AccessRequest.next_attempt_at.is_not(None)
        )
        found += [f"{one.instance_name}: not let in yet ({one.last_error})" for one in db.session.scalars(shut)]
        return found + self._complaints()

    def left_over(self) -> list[str]:
        """What is there although everybody left it alone for a day."""
        db.session.rollback()
        still_open = select(AccessRequest).where(AccessRequest.state != State.ENDED)
        accounts = select(User).where(User.kind == TEMPORARY)
        inside = select(LoginSession).where(
            LoginSession.access_request_id.is_not(None), LoginSession.ended_at.is_(None)
        )
        tickets = select(Ticket).where(Ticket.used_at.is_(None), Ticket.voided_at.is_(None))
        mails = select(OutboxMessage).where(OutboxMessage.next_attempt_at.is_not(None))
        found = [f"{one.instance_name}: {one.state} ({one.last_error})" for one in db.session.scalars(still_open)]
        found += [f"the account {one.screen_name} lives" for one in db.session.scalars(accounts)]
        found += [f"the account {name} lives elsewhere" for name in accounts_elsewhere()]
        found += [f"the support session {one.id} lives" for one in db.session.scalars(inside)]
        found += [f"the ticket {one.id} of request {one.request_id} lives" for one in db.session.scalars(tickets)]
        found += [f"the mail {one.template} waits: {one.last_error}" for one in db.session.scalars(mails)]
        return found + self._complaints()

    def broken_promises(self) -> list[str]:
        """What `doctor --invariants` finds, every event of the record looked at."""
        db.session.rollback()
        lines = examine_promises()
        return [f"{line.check}: {line.finding.message}" for line in lines if line.finding.level is not Level.OK]

    def _complaints(self) -> list[str]:
        """What `doctor` finds wrong in the database."""
        planned = [*GROUND_FLOOR, *(one for one in checks(self.world.app) if one.name not in ("scheduler", "jobs"))]
        for one in planned:
            assert one.needs in (None, "migrations")
        lines = examine(planned, self.world.runtime)
        found = [f"{line.check}: {line.finding.message}" for line in lines if line.finding.level is not Level.OK]
        return [one for one in found if UNPROVEN not in one]
