"""What on-demand access promises, as far as a state shows it broken (design §5): part of ``doctor --invariants``.

Each promise is a few statements over whole tables; what the record says of each request is read in
``tickets/invariants_record.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flask import Flask
from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from tempadmin.accounts.login import LONGEST_VIEW
from tempadmin.accounts.models import TEMPORARY, Invitation, LoginSession, RecoveryCode, SecondFactor, User
from tempadmin.db import db
from tempadmin.doctor.findings import Check, Finding, error, invariants
from tempadmin.doctor.invariants import BY_HAND, held, not_a_digest
from tempadmin.runtime import Runtime
from tickets import doctor, doctor_answers, invariants_entries, invariants_record
from tickets.models import CONFIRM, LOGIN, TEMPORARY_ADMIN, AccessRequest, Activity, Approval, Ticket
from tickets.states import State

Faults = Callable[[Runtime], Iterator[Finding]]


def init_app(app: Flask) -> None:
    """Register each promise under its number."""
    for name, promise, faults in PROMISES:
        invariants(app).append(Check(name=name, look=_looking(promise, faults)))


def _looking(promise: str, faults: Faults) -> Faults:
    return lambda runtime: held(promise, faults(runtime))


def _accounts(_runtime: Runtime) -> Iterator[Finding]:
    yield from doctor.unreadable()
    yield from doctor.accounts_astray()
    yield from doctor.accounts_gone()


def _one_session(_runtime: Runtime) -> Iterator[Finding]:
    """More than one session by a ticket, a request or an account; an active access without any."""
    yield from doctor.nobody_inside()
    twice = select(LoginSession.access_request_id).where(LoginSession.access_request_id.is_not(None))
    yield from _say(
        twice.group_by(LoginSession.access_request_id).having(func.count() > 1), "request {} has several sessions"
    )
    theirs = select(User.id).join(LoginSession, LoginSession.user_id == User.id).where(User.kind == TEMPORARY)
    yield from _say(theirs.group_by(User.id).having(func.count() > 1), "temporary account {} has several sessions")
    other = or_(
        LoginSession.access_request_id.is_(None),
        LoginSession.access_request_id != User.access_request_id,
        LoginSession.instance_id != User.instance_id,
    )
    yield from _say(theirs.where(other), "temporary account {} has a session that its request did not give")
    used = select(Ticket.request_id).where(Ticket.used_at.is_not(None))
    yield from _say(
        used.group_by(Ticket.request_id, Ticket.purpose).having(func.count() > 1),
        "request {} has used several tickets for one purpose",
    )


def _over_is_over(_runtime: Runtime) -> Iterator[Finding]:
    """What lives on after an end; a page that was on its way at the end is recorded a little later."""
    yield from doctor.sessions_astray()
    over = and_(Activity.request_id == AccessRequest.id, AccessRequest.ending_at.is_not(None))
    query = (
        select(AccessRequest.public_id, AccessRequest.ending_at, func.max(Activity.occurred_at))
        .join(Activity, over)
        .group_by(AccessRequest.id, AccessRequest.public_id, AccessRequest.ending_at)
        .having(func.max(Activity.occurred_at) > AccessRequest.ending_at)
    )
    for public_id, ending_at, last in db.session.execute(query):
        if ending_at is not None and last > ending_at + LONGEST_VIEW:
            yield error(f"request {public_id} ended at {ending_at}, and was served at {last}", BY_HAND)


def _tickets(_runtime: Runtime) -> Iterator[Finding]:
    """Tickets used at their expiry or later, or voided before; live ones that their request does not wait for."""
    yield from doctor.tickets_astray()
    used = select(Ticket.id).where(Ticket.used_at.is_not(None))
    yield from _say(used.where(Ticket.used_at >= Ticket.expires_at), "ticket {} was used when its time was over")
    yield from _say(used.where(Ticket.voided_at.is_not(None)), "ticket {} was used and voided")


def _only_the_requester(_runtime: Runtime) -> Iterator[Finding]:
    """Requests that got where only a used confirm ticket, and then a used login ticket, leads."""
    for purpose, since in ((CONFIRM, AccessRequest.confirmed_at), (LOGIN, AccessRequest.started_at)):
        used = select(Ticket.request_id).where(Ticket.purpose == purpose, Ticket.used_at.is_not(None))
        # As sets: asked of each request, SQLite went through all used tickets every time (measured).
        without = select(AccessRequest.id).where(since.is_not(None)).except_(used)
        query = select(AccessRequest.public_id).where(AccessRequest.id.in_(without))
        yield from _say(query, f"request {{}} went on, and no {purpose} ticket of it was used")
    states = AccessRequest.state
    early = or_(
        and_(states.in_((State.READY, State.ACTIVE)), AccessRequest.confirmed_at.is_(None)),
        and_(states == State.ACTIVE, or_(AccessRequest.started_at.is_(None), AccessRequest.ends_at.is_(None))),
        and_(AccessRequest.started_at.is_not(None), AccessRequest.confirmed_at.is_(None)),
    )
    yield from _say(select(AccessRequest.public_id).where(early), "request {} went on without a second factor")
    yield from invariants_entries.let_in_early()
    another = and_(
        LoginSession.access_request_id == AccessRequest.id, LoginSession.actor_id != AccessRequest.requester_id
    )
    yield from _say(
        select(AccessRequest.public_id).join(LoginSession, another), "somebody else than its requester is in request {}"
    )


def _no_credentials(_runtime: Runtime) -> Iterator[Finding]:
    """Temporary accounts that could sign in by themselves."""
    temporary = select(User.id).where(User.kind == TEMPORARY)
    for what in (SecondFactor, RecoveryCode, Invitation):
        theirs = exists().where(what.user_id == User.id)
        yield from _say(temporary.where(theirs), f"temporary account {{}} has a row in {what.__tablename__}")
    signed_in = or_(User.password_hash.is_not(None), User.last_sign_in_at.is_not(None))
    yield from _say(temporary.where(signed_in), "temporary account {} has a password, or has signed in")


def _no_power_outside(_runtime: Runtime) -> Iterator[Finding]:
    """What a temporary account asked for or decided; their rows are gone, their ids are never used again."""
    made_for = aliased(AccessRequest)
    temporary = and_(made_for.kind == TEMPORARY_ADMIN, made_for.subject_id.is_not(None))
    asked = select(AccessRequest.public_id).join(made_for, made_for.subject_id == AccessRequest.requester_id)
    yield from _say(asked.where(temporary), "request {} was asked by a temporary account")
    decided = select(Approval.request_id).join(made_for, made_for.subject_id == Approval.decided_by_id)
    yield from _say(decided.where(temporary), "request {} was decided by a temporary account")


def _own_approvals(runtime: Runtime) -> Iterator[Finding]:
    """Yes to one's own request, and what else does not fit between questions and answers."""
    same: ColumnElement[bool] = or_(
        Approval.decided_by_id == AccessRequest.requester_id,
        func.lower(Approval.decided_by_email) == func.lower(AccessRequest.requester_email),
    )
    own = select(AccessRequest.public_id).join(Approval, Approval.request_id == AccessRequest.id)
    yield from _say(own.where(Approval.decision.is_not(None), same), "request {} was decided by whoever asked")
    yield from doctor_answers.what_does_not_fit(runtime, end=doctor.how_to_end)


def _never_given_up(_runtime: Runtime) -> Iterator[Finding]:
    """Removals and creates that no job would go on with."""
    working = and_(AccessRequest.state.in_((State.PROVISIONING, State.ENDING)), AccessRequest.next_attempt_at.is_(None))
    yield from _say(select(AccessRequest.public_id).where(working), "nobody goes on with request {}")
    undated = and_(
        AccessRequest.state == State.ENDED, or_(AccessRequest.ended_at.is_(None), AccessRequest.ending_at.is_(None))
    )
    yield from _say(select(AccessRequest.public_id).where(undated), "request {} has ended, and not when")
    yield from invariants_entries.forgotten()


def _digests(runtime: Runtime) -> Iterator[Finding]:
    bare = or_(not_a_digest(Ticket.digest), and_(Ticket.code_digest.is_not(None), not_a_digest(Ticket.code_digest)))
    yield from _say(select(Ticket.id).where(bare), "ticket {} is stored as something else than a digest")
    yield from invariants_entries.passwords(runtime)


def _say(query: Select[int] | Select[str] | Select[int | None], words: str) -> Iterator[Finding]:
    for row in db.session.scalars(query):
        yield error(words.format(row), BY_HAND)


PROMISES: tuple[tuple[str, str, Faults], ...] = (
    ("P1", "each temporary account has a request that entitles it, and each such request its account", _accounts),
    ("P2", "no request, ticket or account has opened more than one session", _one_session),
    ("P3", "nothing lives or was done after an end", _over_is_over),
    ("P4", "no ticket was used out of its time", _tickets),
    ("P5", "nobody went in but the requester, with a second factor", _only_the_requester),
    ("P6", "no temporary account has credentials", _no_credentials),
    ("P8", "no temporary account asked for or decided anything", _no_power_outside),
    ("P9", "nobody decided their own request", _own_approvals),
    ("P11", "each removal goes on until it is done", _never_given_up),
    ("P12", "keys and codes of tickets are digests, passwords are sealed until they are shown", _digests),
    ("P13", "each request stands where its record says", invariants_record.faults),
)
