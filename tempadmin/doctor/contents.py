"""Checks of what the ground floor keeps: sealed values, the audit chains' heads, mails that wait, people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from tempadmin.accounts.factors import seed_of
from tempadmin.accounts.models import OMNIADMIN, SecondFactor, User
from tempadmin.accounts.people import carriers_of_reserved_names
from tempadmin.audit.chain import PURPOSE, canonical
from tempadmin.audit.models import AuditCheckpoint, AuditEvent, AuditHead
from tempadmin.db import db
from tempadmin.doctor.findings import Finding, error, ok, warning
from tempadmin.keys import Unsealable
from tempadmin.outbox.models import OutboxMessage
from tempadmin.runtime import Runtime
from tempadmin.web.context import instance_source

WAITING_TOO_LONG = timedelta(minutes=15)


def keys(runtime: Runtime) -> Iterator[Finding]:
    """Open every sealed TOTP seed: a key that was taken away too early locks people out (S15)."""
    query = select(SecondFactor, User.email).join(User, User.id == SecondFactor.user_id).order_by(User.id)
    shut, total = [], 0
    for factor, email in db.session.execute(query).all():
        total += 1
        try:
            seed_of(factor, runtime=runtime)
        except Unsealable:
            shut.append(email)
    if shut:
        whose = ", ".join(shut[:5]) + (", …" if len(shut) > 5 else "")
        advice = "put the key that was removed back at the end of secret_keys, or: tempadmin omniadmin reset-factor"
        yield error(f"{len(shut)} of {total} second factors do not open: {whose}", advice)
    else:
        yield ok(f"all {total} second factors open")


def audit_heads(runtime: Runtime) -> Iterator[Finding]:
    """See that each chain ends where its head says, under our keys; every event is ``audit verify``'s work (S52)."""
    chain = (
        AuditEvent.instance_id,
        func.max(AuditEvent.number).label("last"),
        func.min(AuditEvent.number).label("first"),
        func.count().label("total"),
    )
    ends = {row.instance_id: row for row in db.session.execute(select(*chain).group_by(AuditEvent.instance_id))}
    archived = dict(db.session.execute(select(AuditCheckpoint.instance_id, AuditCheckpoint.number)).all())
    heads = {head.instance_id: head for head in db.session.scalars(select(AuditHead))}
    advice = "run: tempadmin audit verify; it names the events"
    wrong = False
    for instance_id in sorted(ends.keys() | heads.keys()):
        problem = _chain_problem(heads.get(instance_id), ends.get(instance_id), archived.get(instance_id, 0), runtime)
        if problem is not None:
            wrong = True
            yield error(f"the chain of {_name(instance_id)} {problem}", advice)
    if not wrong:
        yield ok(f"{len(heads)} chains end where their heads say")


def outbox(runtime: Runtime) -> Iterator[Finding]:
    """Say when mails do not go out."""
    since = runtime.now() - WAITING_TOO_LONG
    waiting = select(OutboxMessage.last_error).where(
        OutboxMessage.sent_at.is_(None), OutboxMessage.next_attempt_at.is_not(None), OutboxMessage.created_at <= since
    )
    errors = db.session.scalars(waiting.order_by(OutboxMessage.id)).all()
    if errors:
        why = next((reason for reason in errors if reason), "nobody has tried to send them")
        advice = "see to the mail server and the scheduler; the mails are tried again by themselves"
        yield warning(f"{len(errors)} mails have waited for 15 min or more: {why}", advice)
    else:
        yield ok("no mail waits for long")


def people(runtime: Runtime) -> Iterator[Finding]:
    """See that there is a default instance with an omniadmin, and that nobody passes for a temporary account (P7)."""
    default = instance_source().default()
    if default is None:
        advice = "run: tempadmin instance create --default --web-id … --name …"
        yield warning("there is no default instance yet, so nobody can sign in", advice)
        return
    query = select(func.count()).where(
        User.instance_id == default.id, User.role == OMNIADMIN, User.active.is_(True), User.password_hash.is_not(None)
    )
    number = db.session.scalar(query) or 0
    if carriers := carriers_of_reserved_names(runtime.settings):
        advice = "choose another user_prefix and user_email_domain, or rename them; tempadmin serve refuses to start"
        yield error(f"regular accounts carry reserved names: {', '.join(carriers)}", advice)
    elif number:
        yield ok(f"{number} omniadmins can sign in at {default.name}")
    else:
        yield warning("no omniadmin can sign in", "run: tempadmin omniadmin create, and open the link that it prints")


def _chain_problem(head: AuditHead | None, chain: Any, archived: int, runtime: Runtime) -> str | None:
    first, number, total = (chain.first, chain.last, chain.total) if chain is not None else (1, 0, 0)
    if head is None:
        return f"has {total} events and no head"
    if head.number != number or total != number - first + 1:
        return f"should end with event {head.number}; it has {total} events, the last is {number}"
    if first > archived + 1:
        return f"should begin with event {archived + 1}; it begins with event {first}"
    if not number:
        return None
    event = db.session.scalars(
        select(AuditEvent).where(AuditEvent.instance_id == head.instance_id, AuditEvent.number == number)
    ).one()
    if event.hash != head.hash or not runtime.keys.mac_is_right(PURPOSE, canonical(event), event.hash):
        return f"ends with an event {number} that is not the one that was recorded, or its key was taken away"
    return None


def _name(instance_id: int) -> str:
    instance = instance_source().by_id(instance_id)
    return instance.web_id if instance else f"instance {instance_id}"
