"""Where a chain begins once its older events were archived, and whether that is true (S51, S52).

A checkpoint is a row that anybody with the database's password could write; so it is believed only where its signature
fits, an event further up in the keyed chain says the same, and what is left follows the event that it names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from tempadmin.audit.chain import BEGINNING, CHECKPOINT, CHECKPOINT_PURPOSE, Fault, checkpoint_words
from tempadmin.audit.models import AuditCheckpoint, AuditEvent
from tempadmin.db import db
from tempadmin.runtime import Runtime


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """After which event the stored part of a chain begins, and what is wrong with whatever says so."""

    after: tuple[int, str] = BEGINNING
    archived: tuple[int, str] = BEGINNING
    """The last event that was archived; those up to it may still be there, or go at any moment."""
    faults: tuple[Fault, ...] = ()

    def covers(self, number: int, digest: str) -> bool:
        """Tell whether an event that was seen once is archived; of the last one the hash is known, too."""
        return number < self.archived[0] or (number, digest) == self.archived


def beginning(instance_id: int, runtime: Runtime) -> Beginning:
    """Return where one chain begins; from event 1 unless a checkpoint proves otherwise."""
    checkpoint = db.session.get(AuditCheckpoint, instance_id, populate_existing=True)
    if checkpoint is None:
        return Beginning()
    if not runtime.keys.mac_is_right(CHECKPOINT_PURPOSE, checkpoint_words(checkpoint), checkpoint.signature):
        words = "the checkpoint at this event was forged or moved: its signature does not fit"
        return Beginning(faults=(Fault(instance_id, checkpoint.number, words),))
    archived = checkpoint.number, checkpoint.hash
    chain = select(AuditEvent).where(AuditEvent.instance_id == instance_id)
    first = db.session.scalars(chain.order_by(AuditEvent.number).limit(1)).one_or_none()
    after = archived
    if first is not None and first.number <= checkpoint.number:  # they are being deleted, oldest first
        after = (first.number - 1, first.previous_hash) if first.number > 1 else BEGINNING
    return Beginning(after=after, archived=archived, faults=_disagreements(checkpoint))


def sign(checkpoint: AuditCheckpoint, runtime: Runtime) -> str:
    """Return the signature of a checkpoint under the newest key."""
    return runtime.keys.mac(CHECKPOINT_PURPOSE, checkpoint_words(checkpoint))[0]


def database_name(connection: Connection) -> str | None:
    """Return the hash of the very first event, archived or not, which names a database; ``None`` for an empty one."""
    kept = select(AuditEvent.id, AuditEvent.hash).order_by(AuditEvent.id).limit(1)
    archived = select(AuditCheckpoint.first_id, AuditCheckpoint.first_hash).order_by(AuditCheckpoint.first_id).limit(1)
    found = [(row[0], row[1]) for query in (kept, archived) for row in connection.execute(query)]
    return min(found)[1] if found else None


def last_archived(*, instance_id: int | None = None) -> datetime | None:
    """Return when older events were archived last, of one instance or of any."""
    query = select(AuditCheckpoint.made_at).order_by(AuditCheckpoint.made_at.desc()).limit(1)
    if instance_id is not None:
        query = query.where(AuditCheckpoint.instance_id == instance_id)
    return db.session.scalar(query)


def _disagreements(checkpoint: AuditCheckpoint) -> tuple[Fault, ...]:
    """Compare a checkpoint with the event that it names and, while that is still there, with its own event."""
    wrong = []
    chain = select(AuditEvent.event, AuditEvent.hash, AuditEvent.details).where(
        AuditEvent.instance_id == checkpoint.instance_id
    )
    last = db.session.execute(chain.where(AuditEvent.number == checkpoint.number)).one_or_none()
    if last is not None and last.hash != checkpoint.hash:
        wrong.append((checkpoint.number, "is not the event that was archived under this number"))
    said = db.session.execute(chain.where(AuditEvent.number == checkpoint.event_number)).one_or_none()
    if said is None or said.event != CHECKPOINT or not _says(said.details, checkpoint):
        wrong.append((checkpoint.event_number, "does not say what the checkpoint says: one of them was changed"))
    return tuple(Fault(checkpoint.instance_id, *one) for one in wrong)


def _says(details: str, checkpoint: AuditCheckpoint) -> bool:
    words = json.loads(details)
    return (words.get("number"), words.get("hash"), words.get("activity_id")) == (
        checkpoint.number,
        checkpoint.hash,
        checkpoint.activity_id,
    )
