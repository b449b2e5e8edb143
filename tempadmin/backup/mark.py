"""The mark: the newest audit event that was ever seen from this data folder, kept outside the database.

A database that does not hold the event that the mark names is an older one: it was restored, or failed over to a
replica that had lost commits. No human need notice: ``watch`` looks at each start and each heartbeat, and begins anew.
What was restored together with its data folder (a snapshot of the machine) brings its own older mark along and goes
unnoticed: then ``tempadmin db restored`` is for the operator to run.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from sqlalchemy import Connection, exists, select

from tempadmin.audit.beginnings import database_name
from tempadmin.audit.models import AuditCheckpoint, AuditEvent

FILE_NAME = "highest_seen.json"
RESTORED = "database.restored"

log = structlog.get_logger()

_said: set[tuple[str, Path]] = set()
"""What this process has warned of already."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One event by id and hash; ``first`` is the hash of the database's very first one, which names the database."""

    first: str
    id: int
    hash: str


def read(folder: Path) -> Mark | None:
    """Return what a data folder remembers; ``None`` when that is nothing, or nothing that can be read."""
    path = folder / FILE_NAME
    try:
        kept = json.loads(path.read_text("utf-8"))
        return Mark(first=str(kept["first"]), id=int(kept["id"]), hash=str(kept["hash"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        _say_once("mark.unreadable", path, error)
        return None


def write(folder: Path, mark: Mark) -> None:
    """Keep a mark; whole when it appears. A folder that takes nothing is logged, and stops nobody."""
    unfinished = folder / f"{FILE_NAME}.{secrets.token_hex(4)}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(asdict(mark), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / FILE_NAME)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        _say_once("mark.not_written", folder, error)


def highest(connection: Connection) -> Mark | None:
    """Return the database's own newest event as a mark; ``None`` when nothing ever happened in it."""
    newest = select(AuditEvent.id, AuditEvent.hash).order_by(AuditEvent.id.desc()).limit(1)
    found = connection.execute(newest).one_or_none()
    return None if found is None else Mark(first=database_name(connection) or "", id=found.id, hash=found.hash)


def is_older(connection: Connection, *, than: Mark) -> bool:
    """Tell whether this is the mark's database, and lacks what was seen in it.

    Where it began anew after that, it lacks the event rightly: ids after a beginning are higher than all before it.
    Another database altogether (its first event is another) is none of the mark's business. Nor is an event that was
    archived since: then nobody looked from here for 30 days, and nothing that was under way then still is.
    """
    first = database_name(connection)
    if first is None or first != than.first:
        return False
    holds = exists().where(AuditEvent.id == than.id, AuditEvent.hash == than.hash)
    began_anew = exists().where(AuditEvent.id > than.id, AuditEvent.event == RESTORED)
    archived = exists().where(AuditCheckpoint.last_id >= than.id)
    return not connection.scalar(select(holds | began_anew | archived))


def _say_once(event: str, path: Path, error: Exception) -> None:
    """Warn, but not at every heartbeat."""
    if (event, path) not in _said:
        _said.add((event, path))
        log.warning(event, path=str(path), error=str(error) or type(error).__name__)
