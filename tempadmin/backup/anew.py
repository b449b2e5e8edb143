"""Begin anew: what makes an older copy of the database safe before anybody uses it.

A backup remembers as open what ended after it was made: accesses, sessions, links, codes. Restored as it is it would
revive them all, and give the ids of lost rows away a second time, so that a new temporary account would get the name
of one that may still be in a customer's directory. So everything that was under way ends here, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import structlog
from flask import Flask
from sqlalchemy import Connection, Table, delete, select, text, update
from sqlalchemy.orm import Session

from tempadmin.accounts.models import Invitation, LoginSession, RecoveryCode, SecondFactor
from tempadmin.accounts.totp import step_at
from tempadmin.audit.log import Actor, record
from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.backup.mark import RESTORED, Mark, highest, is_older
from tempadmin.db import db, retried_once, transaction
from tempadmin.outbox.models import OutboxMessage
from tempadmin.runtime import Runtime, application
from tempadmin.web.context import instance_source

EXTENSION, LEFT_OVER = "tempadmin.begin_anew", "tempadmin.left_over"
REASON = "restored"
GAP = 1_000_000
"""More rows than any table got between a backup and its loss; every id after this one was never given before."""
ONE_AT_A_TIME = 4_901_735_512
DROPPED = "dropped: the database was restored, and its link is void"

log = structlog.get_logger()

Part = Callable[[Actor, datetime], dict[str, int]]
"""What a module does about its own tables in the open transaction; returns how many of what it ended."""


@dataclass(frozen=True, kw_only=True)
class Anew:
    """What began anew: the moment (UTC), how many of what ended, and what was seen here of the lost time, if known."""

    at: datetime
    ended: dict[str, int]
    highest: int
    """The id of the newest event that this database still has; what happened after it is lost."""
    seen: Mark | None


def parts(app: Flask) -> list[Part]:
    """Return what modules do when a database begins anew; called after the factors and before sessions are locked."""
    return cast("list[Part]", app.extensions.setdefault(EXTENSION, []))


def left_over(app: Flask) -> list[Callable[[Runtime], Iterable[str]]]:
    """Return what modules have to say of accounts that are still to be removed, one line each."""
    return cast("list[Callable[[Runtime], Iterable[str]]]", app.extensions.setdefault(LEFT_OVER, []))


@retried_once
def begin_anew(
    *, actor: Actor, runtime: Runtime, seen: Mark | None = None, void_recovery_codes: bool = False
) -> Anew | None:
    """End everything that was under way, whatever the backup says of it; one audit event in each instance's chain.

    Passwords, roles, second factors and unused recovery codes stay as they were in the backup: what changed of them
    since cannot be known here, and the operator is told so.

    Parameters
    ----------
    actor
        Who restored it, or the service that noticed by itself.
    seen
        The mark that this database should hold and does not. ``None``: a person says that it was restored.
    void_recovery_codes
        Make all unused recovery codes void too; for a backup that is restored after a break-in.

    Returns
    -------
    What was done; ``None`` when somebody else did it a moment ago.
    """
    with transaction(as_service=True) as session:
        connection = session.connection()
        _one_at_a_time(connection)
        if seen is not None and not is_older(connection, than=seen):
            return None
        now, found = runtime.now(), highest(connection)
        # A code that was used after the backup must not work again (S10).
        step = step_at(now)
        session.execute(update(SecondFactor).where(SecondFactor.last_step < step).values(last_step=step))
        ended: dict[str, int] = {}
        for part in parts(application()):
            ended |= part(actor, now)
        ended |= _end_own(session, now)
        if void_recovery_codes:
            unused = delete(RecoveryCode).where(RecoveryCode.used_at.is_(None)).returning(RecoveryCode.id)
            ended["recovery codes"] = len(session.scalars(unused).all())
        for table in db.metadata.sorted_tables:
            if table.dialect_options["sqlite"]["autoincrement"]:
                beyond = seen.id if seen is not None and table.name == AuditEvent.__tablename__ else 0
                _leave_gap(connection, table, beyond=beyond)
        anew = Anew(at=now, ended=ended, highest=found.id if found else 0, seen=seen)
        _record(anew, actor)
    log.warning(RESTORED, **{name.replace(" ", "_"): number for name, number in ended.items()}, highest=anew.highest)
    return anew


def _end_own(session: Session, now: datetime) -> dict[str, int]:
    """Void every session and link; drop the mails that carry a link. Mails without one may go out a second time."""
    live = update(LoginSession).where(LoginSession.ended_at.is_(None)).values(ended_at=now, end_reason=REASON)
    links = update(Invitation).where(Invitation.used_at.is_(None)).values(used_at=now)
    mails = (
        update(OutboxMessage)
        .where(OutboxMessage.sealed_secret.is_not(None))
        .values(sealed_secret=None, next_attempt_at=None, last_error=DROPPED)
    )
    return {
        "sessions": len(session.scalars(live.returning(LoginSession.id)).all()),
        "invitations": len(session.scalars(links.returning(Invitation.id)).all()),
        "mails": len(session.scalars(mails.returning(OutboxMessage.id)).all()),
    }


def _record(anew: Anew, actor: Actor) -> None:
    """One event in each chain, with the head before it; the operator's own has the numbers too."""
    default = instance_source().default()
    lost = {} if anew.seen is None else {"seen_event_id": anew.seen.id}
    for head in db.session.scalars(select(AuditHead).where(AuditHead.number > 0).order_by(AuditHead.instance_id)).all():
        own = anew.ended if default is not None and head.instance_id == default.id else {}
        record(
            RESTORED,
            instance_id=head.instance_id,
            actor=actor,
            at=anew.at,
            head_number=head.number,
            head_hash=head.hash,
            last_event_id=anew.highest,
            **lost,
            **{name.replace(" ", "_"): number for name, number in own.items()},
        )


def _one_at_a_time(connection: Connection) -> None:
    """Two machines may notice at once; on SQLite the writer's lock is held already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})


def _leave_gap(connection: Connection, table: Table, *, beyond: int) -> None:
    """Let a table's next id be one that no lost row had."""
    if connection.dialect.name == "postgresql":
        find = text("SELECT pg_get_serial_sequence(:name, 'id')")
        sequence = connection.scalar(find, {"name": table.name})
        move = text(f"SELECT setval(:name, greatest(last_value, :beyond) + :gap) FROM {sequence}")  # noqa: S608
        connection.execute(move, {"name": sequence, "beyond": beyond, "gap": GAP})
        return
    values = {"name": table.name, "beyond": beyond, "gap": GAP}
    missing = (
        "INSERT INTO sqlite_sequence (name, seq) SELECT :name, 0 WHERE :name NOT IN (SELECT name FROM sqlite_sequence)"
    )
    connection.execute(text(missing), values)
    connection.execute(text("UPDATE sqlite_sequence SET seq = max(seq, :beyond) + :gap WHERE name = :name"), values)
