"""``tempadmin doctor --invariants``: every broken promise that can be seen in a state, each under its number.

Where the other checks say what an operator should see to, these say what must never be, whatever crashed meanwhile.
Each reads one snapshot of the database, so they may run beside a service at work: what is merely under way (a removal
that is due, a ticket that has just run out) is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flask import Flask
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from tempadmin.accounts.models import OMNIADMIN, REGULAR, Invitation, LoginSession, RecoveryCode, SecondFactor, User
from tempadmin.accounts.people import carriers_of_reserved_names
from tempadmin.audit import queries
from tempadmin.db import db, snapshot
from tempadmin.doctor.findings import Check, Finding, Line, error, examine, invariants, ok
from tempadmin.outbox.models import OutboxMessage
from tempadmin.runtime import Runtime
from tempadmin.web.context import instance_source

DIGEST_LENGTH = 64
BY_HAND = "somebody changed the database by hand, or this is a bug: keep a copy, and run tempadmin audit verify"


def of_the_ground_floor(app: Flask) -> list[Check]:
    """Return the ground floor's invariants and its modules'."""
    own = [
        Check(name="P7", look=reserved_names),
        Check(name="P12", look=secrets_at_rest),
        Check(name="P13", look=chains),
    ]
    return sorted([*own, *invariants(app)], key=lambda check: int(check.name[1:]))


def examine_invariants(ground: list[Check], app: Flask, runtime: Runtime) -> Iterator[Line]:
    """Yield what the ground checks and all invariants find, each invariant in a snapshot of its own."""
    yield from examine([*ground, *(_in_a_snapshot(check) for check in of_the_ground_floor(app))], runtime)


def held(promise: str, faults: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the faults, or that the promise is kept."""
    broken = False
    for fault in faults:
        broken = True
        yield fault
    if not broken:
        yield ok(promise)


def reserved_names(runtime: Runtime) -> Iterator[Finding]:
    """P7: reserved names belong to temporary accounts, the omniadmin's role to the default instance."""
    yield from held("reserved names and roles are where they belong", _out_of_place(runtime))


def secrets_at_rest(_runtime: Runtime) -> Iterator[Finding]:
    """P12: what must be a digest is one; what must be sealed is; a mail that was sent keeps no secret."""
    yield from held("secrets are digests or sealed", _bare_secrets())


def chains(runtime: Runtime) -> Iterator[Finding]:
    """P13: every chain of the record verifies, event by event."""
    ids = queries.instance_ids()
    yield from held(f"{len(ids)} chains verify", _chain_faults(ids, runtime))


def not_a_digest(column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None]) -> ColumnElement[bool]:
    """Return the condition that a column holds something else than 64 hexadecimal digits, or nothing."""
    return or_(func.length(column) != DIGEST_LENGTH, func.ltrim(column, "0123456789abcdef") != "")


def _out_of_place(runtime: Runtime) -> Iterator[Finding]:
    for carrier in carriers_of_reserved_names(runtime.settings):
        yield error(f"the regular account {carrier} carries a reserved name", "rename it")
    default = instance_source().default()
    elsewhere = or_(User.kind != REGULAR, User.instance_id != (default.id if default else 0))
    for user in db.session.scalars(select(User).where(User.role == OMNIADMIN, elsewhere).order_by(User.id)):
        yield error(f"account {user.id} at instance {user.instance_id} has the omniadmin's role", BY_HAND)


def _bare_secrets() -> Iterator[Finding]:
    queries_and_words: list[tuple[Select[int], str]] = [
        (select(LoginSession.id).where(not_a_digest(LoginSession.digest)), "session"),
        (select(Invitation.id).where(not_a_digest(Invitation.digest)), "invitation"),
        (select(RecoveryCode.id).where(not_a_digest(RecoveryCode.digest)), "recovery code"),
    ]
    for query, what in queries_and_words:
        for row_id in db.session.scalars(query):
            yield error(f"{what} {row_id} is stored as something else than a digest", BY_HAND)
    for row_id in db.session.scalars(select(SecondFactor.id).where(func.length(SecondFactor.sealed_seed) <= 32)):
        yield error(f"second factor {row_id} is not sealed", BY_HAND)
    kept = select(OutboxMessage.id).where(OutboxMessage.sent_at.is_not(None), OutboxMessage.sealed_secret.is_not(None))
    for row_id in db.session.scalars(kept):
        yield error(f"mail {row_id} was sent, and its secret was kept", BY_HAND)


def _chain_faults(ids: list[int], runtime: Runtime) -> Iterator[Finding]:
    for instance_id in ids:
        for fault in queries.verify(instance_id=instance_id, runtime=runtime):
            yield error(f"the chain of instance {instance_id}, event {fault.number}: {fault.message}", BY_HAND)


def _in_a_snapshot(check: Check) -> Check:
    def look(runtime: Runtime) -> Iterator[Finding]:
        with snapshot():
            yield from check.look(runtime)

    return replace(check, look=look)
