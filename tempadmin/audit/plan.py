"""What of the record may go: of each chain all before the first event that has to stay, and activity likewise."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, text

from tempadmin.audit.archive import Chain, Plan
from tempadmin.audit.beginnings import beginning, database_name
from tempadmin.audit.chain import GENESIS
from tempadmin.audit.models import AuditCheckpoint, AuditEvent, AuditHead
from tempadmin.audit.retention import SHORTEST, activity_of, keepers
from tempadmin.db import db
from tempadmin.errors import Invalid
from tempadmin.runtime import Runtime, application
from tempadmin.web.context import instance_source


def plan_for(*, before: datetime, instance_id: int | None, runtime: Runtime) -> Plan:
    """Say what would go.

    Of each chain that is everything up to the first event that has to stay: one that is younger, or belongs to an
    access that has not ended. Of activity likewise, by its instance.

    Parameters
    ----------
    before
        Nothing of this moment (UTC) or after it goes.
    instance_id
        Whose record; ``None`` for all.

    Raises
    ------
    Invalid
        When the moment is less than 30 days ago; or when a chain does not hold at its beginning.
    """
    latest = runtime.now() - SHORTEST
    if before > latest:
        raise Invalid(f"--before must be {SHORTEST.days} days ago at least: {latest:%Y-%m-%d} at the latest.")
    _take_time()
    ends = _ends(before, instance_id)
    activity = _activity_ends(before, set(ends))
    chains = [_chain(one, *span, activity.get(one, (0, 0)), runtime) for one, span in sorted(ends.items())]
    database = database_name(db.session.connection()) or GENESIS
    db.session.rollback()
    return Plan(database=database, before=before, instance_id=instance_id, chains=tuple(chains))


def _take_time() -> None:
    """Let PostgreSQL read through ten million rows, which no page may."""
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.execute(text("SET LOCAL statement_timeout = 0"))


def _ends(before: datetime, instance_id: int | None) -> dict[int, tuple[int, int]]:
    """Return the first and the last event that go, of each chain of which any does."""
    own = AuditEvent.instance_id == AuditHead.instance_id
    first = select(func.min(AuditEvent.number)).where(own).scalar_subquery()
    younger = select(AuditEvent.number).where(own, AuditEvent.occurred_at >= before)
    stays = younger.order_by(AuditEvent.number).limit(1).scalar_subquery()
    query = (
        select(AuditHead.instance_id, AuditHead.number, first, stays, AuditCheckpoint.event_number)
        .outerjoin(AuditCheckpoint, AuditCheckpoint.instance_id == AuditHead.instance_id)
        .where(AuditHead.number > 0)
    )
    if instance_id is not None:
        query = query.where(AuditHead.instance_id == instance_id)
    kept: dict[int, int] = {}
    for keeper in keepers(application()):
        found = select(AuditEvent.instance_id, func.min(AuditEvent.number)).where(keeper())
        for chain, number in db.session.execute(found.group_by(AuditEvent.instance_id)):
            kept[chain] = min(number, kept.get(chain, number))
    ends = {}
    for chain, last, start, young, checkpoint in db.session.execute(query):
        end = min(young or last + 1, kept.get(chain, last + 1)) - 1
        # A checkpoint alone is no history: else each prune of a chain at rest would only make a new one.
        if start is not None and start <= end and not start == end == checkpoint:
            ends[chain] = (start, end)
    return ends


def _activity_ends(before: datetime, chains: set[int]) -> dict[int, tuple[int, int]]:
    """Return the last row of activity that goes of each instance, and how many go."""
    rows = activity_of(application())
    if rows is None:
        return {}
    columns = rows.table.columns
    stays = select(columns.instance_id, func.min(columns.id).label("id")).where(rows.must_stay(before))
    kept = stays.group_by(columns.instance_id).subquery()
    query = (
        select(columns.instance_id, func.max(columns.id), func.count())
        .outerjoin(kept, kept.c.instance_id == columns.instance_id)
        .where((kept.c.id.is_(None)) | (columns.id < kept.c.id))
        .group_by(columns.instance_id)
    )
    return {chain: (last, count) for chain, last, count in db.session.execute(query) if chain in chains}


def _chain(instance_id: int, start: int, end: int, activity: tuple[int, int], runtime: Runtime) -> Chain:
    query = select(AuditEvent.number, AuditEvent.previous_hash, AuditEvent.hash).where(
        AuditEvent.instance_id == instance_id, AuditEvent.number.in_((start, end))
    )
    found = {number: (before, own) for number, before, own in db.session.execute(query)}
    instance = instance_source().by_id(instance_id)
    name = instance.web_id if instance else f"instance {instance_id}"
    begins = beginning(instance_id, runtime)
    if begins.faults or end not in found or begins.after != (start - 1, found[start][0]):
        # What was cut off before must not be hidden behind a checkpoint of ours.
        raise Invalid(
            f"The record of {name} does not hold at its beginning, so nothing goes; run: tempadmin audit verify"
        )
    return Chain(
        instance_id=instance_id,
        name=name,
        start=start,
        end=end,
        previous_hash=found[start][0],
        hash=found[end][1],
        activity_id=activity[0],
        activity=activity[1],
    )
