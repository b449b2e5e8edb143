"""A restored database revives no ended access: what was under way in the backup is over before anybody uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import func, insert, select, update

from instances.models import DrillAccount, VirtualInstance
from scheduler import lease
from scheduler.models import SchedulerLease
from tempadmin.accounts import factors, invitations
from tempadmin.accounts.models import Invitation, LoginSession, RecoveryCode, User
from tempadmin.accounts.omniadmins import reset_factor
from tempadmin.accounts.recovery import codes_left, replace_codes
from tempadmin.audit import queries as audit_queries
from tempadmin.audit.log import SERVICE
from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.backup import mark
from tempadmin.backup.anew import GAP, Anew, begin_anew
from tempadmin.db import db, transaction
from tempadmin.jobs import jobs
from tempadmin.outbox.models import OutboxMessage
from tempadmin.web.context import instance_source
from tempadmin.web.security import SESSION_COOKIE
from tests.backup.conftest import Back
from tests.tempadmin.test_enrolment import ADA
from tests.tickets.evidence import Inside, assert_gone, assert_refused, faults, go_inside, thief
from tests.world import CONSOLE, World
from tickets.models import AccessRequest, Ticket

Take = Callable[[], Back]


@dataclass
class Before:
    """Somebody inside Acme, a link to Birch not yet followed, an enrolment link not yet opened; all ended since."""

    inside: Inside
    requests: tuple[int, int]
    link: str
    confirmation: str
    enrolment: str
    code: str
    console: str


@pytest.fixture
def before(world: World, acme: VirtualInstance, take: Take) -> Before:
    """A database that was restored: as it was before everything in it ended."""
    world.instance("birch")
    world.omniadmin("ben@operator.example", "Ben Ito")
    home = instance_source().default()
    assert home is not None
    inside = go_inside(world)
    console = inside.ada.cookie(SESSION_COOKIE, "localhost")
    assert console is not None
    enrolment = invitations.link(
        home, reset_factor(instance_id=home.id, email="ben@operator.example", runtime=world.runtime)
    )
    birch = world.ask(inside.ada, "birch")
    confirmation = world.confirmation_link()
    requests = inside.request.id, birch.id
    back = take()
    link = world.confirm(inside.ada)
    code = world.code()
    end_from_console(world, inside, requests[0])
    inside.ada.get(f"{CONSOLE}/logout")
    inside.ada.post(f"{CONSOLE}/logout")
    back()
    return Before(inside, requests, link, confirmation, enrolment, code, console)


def end_from_console(world: World, inside: Inside, request_id: int) -> None:
    page = f"{CONSOLE}/access/{world.request(request_id).public_id}"
    inside.ada.get(page)
    inside.ada.post(f"{page}/end")
    assert_gone(world, request_id, "ended_by_requester")


def anew(world: World, seen: mark.Mark | None = None, **options: bool) -> Anew | None:
    return begin_anew(actor=SERVICE, runtime=world.runtime, seen=seen, **options)


def test_p3_without_it_everything_would_live_again(world: World, before: Before) -> None:
    """What the tests below guard against: the thief's cookie opens the customer's pages."""
    assert thief(world, before.inside.cookie).get("http://acme.localhost:8000/users").status_code == 200


def test_p3_a_restored_database_opens_nothing_for_an_old_cookie_or_link(world: World, before: Before) -> None:
    """Support session, console session, confirmation, one-time link, enrolment link: none is served."""
    anew(world)
    assert_refused(thief(world, before.inside.cookie))
    assert thief(world, before.console, CONSOLE).get(f"{CONSOLE}/access").status_code == 302
    ada = world.signed_in()
    for link in (before.inside.link, before.link):
        assert ada.get(link, follow=True).status_code in (404, 410), ada.trail
    assert ada.get(before.confirmation, follow=True).status_code == 410
    assert world.browser().get(before.enrolment).status_code == 410


def test_p1_after_a_restore_the_accounts_go_and_the_record_is_whole(world: World, before: Before) -> None:
    """Every open access ends as restored; the job removes the accounts, and the chains verify."""
    done = anew(world)
    assert done is not None
    assert done.ended["accesses"] == 2
    jobs(world.app)["removal"].run(world.runtime)
    for request_id in before.requests:
        assert_gone(world, request_id, "restored")
    assert faults(world) == []
    live = select(LoginSession.id).where(LoginSession.ended_at.is_(None))
    assert db.session.scalars(live).all() == []
    assert db.session.scalars(select(Invitation.id).where(Invitation.used_at.is_(None))).all() == []
    assert db.session.scalars(select(Ticket.id).where(Ticket.used_at.is_(None), Ticket.voided_at.is_(None))).all() == []


def test_s10_a_code_that_was_used_after_the_backup_is_used_up(world: World, before: Before) -> None:
    """The device's code of this half minute signs nobody in; the next one does."""
    anew(world)
    assert world.code() == before.code
    with transaction():
        user = db.session.scalars(select(User).where(User.email == ADA)).one()
        verdict = factors.judge(user_id=user.id, answer=before.code, runtime=world.runtime)
    assert "used already" in str(verdict.refusal)
    world.signed_in()


def test_p12_mails_with_links_are_dropped_and_others_go_out(world: World, before: Before) -> None:
    """A mail that waits with a link would mail a void one; the news that an access is over is sent."""
    sealed = world.runtime.keys.seal("outbox", b"key", owner="message:1")
    with transaction() as session:
        session.execute(update(OutboxMessage).values(sealed_secret=sealed, next_attempt_at=world.clock.now()))
    anew(world)
    left = db.session.scalars(select(OutboxMessage).where(OutboxMessage.sealed_secret.is_not(None))).all()
    assert left == []
    jobs(world.app)["mail"].run(world.runtime)
    assert any("restored from a backup" in mail for mail in world.mails())


def test_p14_a_leader_of_the_lost_time_is_fenced(world: World, acme: VirtualInstance, take: Take) -> None:
    """It slept through it all: its epoch is never given again, however many leaders follow."""
    lease.acquire(holder="first", runtime=world.runtime)
    back = take()
    world.clock.advance(minutes=1)
    slept = lease.acquire(holder="slept", runtime=world.runtime)
    assert slept is not None
    back()
    anew(world)
    following = [lease.acquire(holder="next", runtime=world.runtime) for _ in range(3)]
    assert min(filter(None, following)) > slept + GAP // 2
    db.session.rollback()
    assert db.session.get_one(SchedulerLease, lease.NAME).holder == "next"


def test_p7_no_id_of_the_lost_time_is_given_again(world: World, before: Before) -> None:
    """A new temporary account never gets the name of one that may still be in a customer's directory."""
    highest = {model: db.session.scalar(select(func.max(model.id))) for model in (User, AccessRequest, AuditEvent)}
    anew(world)
    new = world.ask(world.signed_in(), "birch")
    assert new.id > (highest[AccessRequest] or 0) + GAP
    assert (new.subject_id or 0) > (highest[User] or 0) + GAP


def test_p13_each_chain_says_that_it_began_anew_and_after_what(world: World, before: Before) -> None:
    """One event in each instance's chain, with the head that was found; the operator's own has the numbers."""
    heads = {head.instance_id: (head.number, head.hash) for head in db.session.scalars(select(AuditHead))}
    anew(world, mark.Mark(first="x", id=1, hash="x"))  # another database's mark: nothing to do
    assert db.session.scalars(select(AuditEvent.id).where(AuditEvent.event == mark.RESTORED)).all() == []
    anew(world)
    found = db.session.scalars(select(AuditEvent).where(AuditEvent.event == mark.RESTORED)).all()
    assert {event.instance_id for event in found} == set(heads)
    for event in found:
        number, digest = heads[event.instance_id]
        assert f'"head_number": {number}' in event.details
        assert digest in event.details
        assert ('"accesses": 2' in event.details) == (event.instance_id == world.default_instance().id)


def test_s52_a_head_from_the_log_tells_what_a_restore_lost(world: World, acme: VirtualInstance, take: Take) -> None:
    """The chain goes on and holds; only the head that was kept elsewhere shows the gap."""
    inside = go_inside(world)
    request_id, chain = inside.request.id, acme.id
    back = take()
    end_from_console(world, inside, request_id)
    head = db.session.get_one(AuditHead, chain)
    kept = (head.number, head.hash)
    back()
    anew(world)
    assert faults(world) == []
    found = audit_queries.verify(instance_id=chain, runtime=world.runtime, expected=kept)
    assert ["gone or another" in fault.message for fault in found] == [True]


def test_s01_recovery_codes_stay_unless_the_operator_says_otherwise(world: World, acme: VirtualInstance) -> None:
    """Which were used since cannot be known: whoever lost a device keeps a way in, unless a break-in is feared."""
    user = db.session.scalars(select(User).where(User.email == ADA)).one()
    with transaction():
        replace_codes(user_id=user.id, runtime=world.runtime)
    anew(world)
    assert codes_left(user_id=user.id) == 10
    done = anew(world, void_recovery_codes=True)
    assert done is not None
    assert done.ended["recovery codes"] == 10
    assert db.session.scalars(select(RecoveryCode.id)).all() == []


def test_p1_what_the_lost_time_made_elsewhere_is_found_and_removed(world: World, take: Take) -> None:
    """Restored to before the request: the directory has an account that the database never heard of. No sweep is on."""
    world.omniadmin()
    world.instance("acme", connector="drill")
    ada = world.signed_in()
    back = take()
    world.enter(ada, "acme")
    with db.engine.connect() as connection:
        there = [dict(row) for row in connection.execute(select(DrillAccount.__table__)).mappings()]
    assert len(there) == 1
    back()
    with transaction() as session:
        session.execute(insert(DrillAccount), there)
    anew(world)
    world.clock.advance(minutes=1)
    told = jobs(world.app)["after-restore"].run(world.runtime)
    assert told == "1 of 1 leftovers removed after a restore"
    gone = select(DrillAccount.gone_at)
    assert [moment is not None for moment in db.session.scalars(gone)] in ([], [True])
    assert "nothing to do" in jobs(world.app)["after-restore"].run(world.runtime)
    assert faults(world) == []


def test_p1_a_directory_that_is_silent_after_a_restore_is_looked_at_again(world: World) -> None:
    """Until it has answered, every hour: nothing is noted as done before."""
    world.omniadmin()
    world.instance("acme", connector="gone away")
    world.signed_in()
    anew(world)
    for _ in range(2):
        assert "was not read" in jobs(world.app)["after-restore"].run(world.runtime)
