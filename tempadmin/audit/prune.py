"""Old parts of the record go: archived in a file first, then below a signed checkpoint in each chain, then deleted.

Whoever is killed on the way leaves one of these: no file; a file and chains of which none, some or all have their
checkpoint; chains of which some of what lies below the checkpoint is gone, the oldest first. In each the record
verifies, and the same command with the same file goes on (S51, S52). The service works on meanwhile: nothing but the
last step writes much, and that in transactions of a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tempadmin.audit import archive, pruning
from tempadmin.audit.archive import ACTIVITY, EVENT, Chain, Line, Plan
from tempadmin.audit.beginnings import database_name, sign
from tempadmin.audit.chain import CHECKPOINT
from tempadmin.audit.log import Actor, record
from tempadmin.audit.models import AuditCheckpoint, AuditEvent, AuditHead
from tempadmin.audit.plan import plan_for
from tempadmin.audit.pruning import Pace, Progress
from tempadmin.audit.retention import activity_of
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Invalid
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime, application

CHUNK = 2_000


@dataclass(frozen=True, kw_only=True)
class Begun:
    """An archive that is there, and its SHA-256."""

    plan: Plan
    digest: str


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What was deleted now, and the archive's SHA-256; what an earlier run had deleted is not counted again."""

    events: int
    activity: int
    digest: str


def begun_in(file: Path, *, before: datetime, instance_id: int | None, runtime: Runtime) -> Begun | None:
    """Return what an earlier run of the same command has archived; ``None`` where there is no file.

    Raises
    ------
    Conflict
        When the file is anything else: nothing is ever replaced. Or when the database was restored meanwhile, and what
        is archived is not what is there, or may not go any more.
    """
    if not file.exists():
        return None
    name = database_name(db.session.connection())
    db.session.rollback()
    try:
        plan, digest = archive.read(file, runtime.keys)
    except Invalid as error:
        raise Conflict(f"{file} exists already, and cannot be gone on with; name another file. {error}") from error
    if (plan.database, plan.before, plan.instance_id) != (name, before, instance_id):
        raise Conflict(f"{file} exists already, and is the archive of something else; name another file.")
    _see_that_it_may_still_go(plan, runtime)
    return Begun(plan=plan, digest=digest)


def prune(*, plan: Plan | Begun, file: Path, actor: Actor, runtime: Runtime, progress: Progress) -> Pruned:
    """Archive, set the checkpoints, delete; go on from wherever an earlier run with this file came to.

    Parameters
    ----------
    plan
        What ``begun_in`` found, else what ``plan.plan_for`` said.
    file
        The archive; it must not be there yet, unless ``begun_in`` read it.
    actor
        Who is named by the checkpoints' events.

    Raises
    ------
    Conflict
        When the database is not the one that was archived any more: it was restored meanwhile.
    Invalid
        When the record does not hold; nothing is deleted then.
    """
    begun = plan if isinstance(plan, Begun) else _archived(plan, file, runtime, progress)
    plan, digest = begun.plan, begun.digest
    for chain in plan.chains:
        _set_checkpoint(chain, plan.before, digest, actor, runtime)
    pace, rows, activity = Pace(), activity_of(application()), 0
    events = sum(
        pruning.delete_events(chain.instance_id, chain.end, pace=pace, progress=progress) for chain in plan.chains
    )
    most = max((chain.activity_id for chain in plan.chains), default=0)
    if rows is not None and most:
        activity = pruning.delete_activity(rows.table, most, plan.instance_id, pace=Pace(), progress=progress)
    return Pruned(events=events, activity=activity, digest=digest)


def _archived(plan: Plan, file: Path, runtime: Runtime, progress: Progress) -> Begun:
    reach("before archive")
    digest = archive.write(file, plan, _lines(plan, progress), runtime.keys)
    reach("after archive")
    return Begun(plan=plan, digest=digest)


def _see_that_it_may_still_go(plan: Plan, runtime: Runtime) -> None:
    """Plan anew: an access that had ended when the archive was made may not have ended in an older database."""
    done = dict(db.session.execute(select(AuditCheckpoint.instance_id, AuditCheckpoint.number)).all())
    today = plan_for(before=plan.before, instance_id=plan.instance_id, runtime=runtime)
    upmost = {chain.instance_id: (chain.end, chain.activity_id) for chain in today.chains}
    for chain in plan.chains:
        end, activity_id = upmost.get(chain.instance_id, (0, 0))
        if done.get(chain.instance_id, 0) < chain.end and (end < chain.end or activity_id < chain.activity_id):
            raise Conflict(_ANOTHER.format(chain.name))


def _lines(plan: Plan, progress: Progress) -> Iterator[Line]:
    """Yield everything that goes; what is read is never changed, so it is read in short transactions."""
    events = AuditEvent.__table__.columns
    for chain in plan.chains:
        low = chain.start - 1
        while low < chain.end:
            query = select(*events).where(
                events.instance_id == chain.instance_id, events.number > low, events.number <= chain.end
            )
            found = db.session.execute(query.order_by(events.number).limit(CHUNK)).all()
            db.session.rollback()
            if not found:
                return  # the reader tells what is missing
            yield from ((EVENT, _values(row)) for row in found)
            low = found[-1].number
            progress(len(found))
    rows, upmost = activity_of(application()), {chain.instance_id: chain.activity_id for chain in plan.chains}
    if rows is None:
        return
    columns, low, most = rows.table.columns, 0, max(upmost.values(), default=0)
    while True:
        chunk = select(*columns).where(columns.id > low, columns.id <= most).order_by(columns.id).limit(CHUNK)
        found = db.session.execute(chunk).all()
        db.session.rollback()
        if not found:
            return
        going = [row for row in found if row.id <= upmost.get(row.instance_id, 0)]
        yield from ((ACTIVITY, _values(row)) for row in going)
        low = found[-1].id
        progress(len(going))


def _values(row: Any) -> dict[str, Any]:
    return {**row._mapping, "occurred_at": row.occurred_at.isoformat()}  # noqa: SLF001 - a row's public name for it


@retried_once
def _set_checkpoint(chain: Chain, before: datetime, digest: str, actor: Actor, runtime: Runtime) -> None:
    """Move one chain's checkpoint to the last event that was archived, and record that, in one transaction."""
    with transaction(as_service=True) as session:
        # Ahead of its time in the order of locks, and alone: nobody else writes into this chain now.
        head = lock(AuditHead, chain.instance_id)
        present = session.get(AuditCheckpoint, chain.instance_id, populate_existing=True)
        if present is not None and present.number >= chain.end:
            if present.number == chain.end and present.hash != chain.hash:
                raise Conflict(_ANOTHER.format(chain.name))
            return
        own = select(AuditEvent).where(AuditEvent.instance_id == chain.instance_id)
        last = session.scalars(own.where(AuditEvent.number == chain.end)).one_or_none()
        first = session.scalars(own.order_by(AuditEvent.number).limit(1)).one_or_none()
        if head is None or last is None or first is None or last.hash != chain.hash:
            raise Conflict(_ANOTHER.format(chain.name))
        now = runtime.now()
        if present is None:
            present = AuditCheckpoint(
                instance_id=chain.instance_id, first_id=first.id, first_hash=first.hash, activity_id=0
            )
            session.add(present)
        present.number, present.hash, present.last_id = last.number, last.hash, last.id
        present.event_number, present.archived_before, present.made_at = head.number + 1, before, now
        present.activity_id = max(present.activity_id, chain.activity_id)
        present.signature = sign(present, runtime)
        record(
            CHECKPOINT,
            instance_id=chain.instance_id,
            actor=actor,
            at=now,
            number=last.number,
            hash=last.hash,
            events=chain.events,
            activity=chain.activity,
            activity_id=present.activity_id,
            before=before.isoformat(),
            archive_sha256=digest,
        )


_ANOTHER = "The record of {} is not the one that was archived: was the database restored? Name another file."
