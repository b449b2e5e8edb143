"""The way back: a copy in the place of the embedded database, safe before anybody can use it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tempadmin import schema
from tempadmin.audit import queries
from tempadmin.audit.log import Actor
from tempadmin.backup import copying, mark
from tempadmin.backup.anew import Anew, begin_anew
from tempadmin.backup.copying import Contents, Progress
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid, Unavailable
from tempadmin.runtime import Runtime
from tempadmin.serving import upgrade_database

IN_USE = "The database is in use. Stop tempadmin serve and tempadmin scheduler run on this data folder, then try again."
ARCHIVED_SINCE = """
    SELECT 1 FROM audit_checkpoints WHERE last_id >= :id AND (
        :first IN (SELECT first_hash FROM audit_checkpoints)
        OR :first = (SELECT hash FROM audit_events ORDER BY id LIMIT 1)
    )
"""
"""Whether a database of the same beginnings had an event, and archived it."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was restored: its contents, what began anew, where the former database is now, and what is lost with it."""

    contents: Contents
    anew: Anew
    replaced: Path | None
    lost: dict[str, int] | None
    """How many events of which kind the former database had after the last one that both have; ``None``: not known."""


def restore(
    *,
    source: Path,
    actor: Actor,
    runtime: Runtime,
    progress: Progress,
    void_recovery_codes: bool = False,
) -> Restored:
    """Put a copy of the embedded database in its place; the service must be stopped.

    The copy is copied once more, beside the database; that one is checked, upgraded, made to begin anew, and only then
    renamed. The former database keeps a dated name. Until the rename nothing has happened, and there is no moment
    without a database.

    Parameters
    ----------
    progress
        Told how far the copy is.

    Raises
    ------
    Conflict
        While somebody uses the database; or when the file is the database itself.
    Invalid
        When the copy is no database of ours or of a newer version, or our keys do not fit it, or its chains are broken.
    Unavailable
        When it is damaged.
    """
    target = copying.database_file(runtime.settings)
    if not source.is_file():
        raise Invalid(f"There is no file {source}.")
    if target.exists() and target.samefile(source):
        raise Conflict(f"{source} is the database itself.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = copying.beside(target)
    kept = mark.read(runtime.settings.data)
    with _alone(target) as former:
        try:
            copying.copy(source, unfinished, progress=progress)
            with copying.opened(unfinished, runtime.settings) as own:
                contents = _checked(own)
                with db.engine.connect() as connection:
                    found = mark.highest(connection)
                    seen = kept if kept is not None and mark.is_older(connection, than=kept) else None
                anew = begin_anew(actor=actor, runtime=own, seen=seen, void_recovery_codes=void_recovery_codes)
                with db.engine.connect() as connection:
                    now = mark.highest(connection)
            if anew is None:
                raise Conflict("This copy changed while it was restored. Try again.")
            copying.finish(unfinished)
            lost = None if former is None else _lost(former, found)
            replaced = _put_in_place(unfinished, target, anew)
        except OSError as error:
            raise Unavailable(f"{target.parent} cannot be written: {error.strerror}.") from error
        finally:
            copying.remove(unfinished)
    if now is not None:
        mark.write(runtime.settings.data, now)
    return Restored(contents=contents, anew=anew, replaced=replaced, lost=lost)


def _checked(runtime: Runtime) -> Contents:
    """Look the copy at work through, bring it to this version, and see that keys and chains fit."""
    if schema.is_newer():
        raise Invalid(str(schema.why_unusable()))
    contents = copying.look_through()
    upgrade_database()
    db.session.rollback()
    doubts = list(copying.doubts_about(runtime))
    for instance_id in queries.instance_ids():
        fault = next(queries.verify(instance_id=instance_id, runtime=runtime), None)
        doubts += [f"the chain of instance {instance_id}, event {fault.number}: {fault.message}"] if fault else []
    if doubts:
        raise Invalid(
            "This copy does not fit this installation, or was changed: "
            + "; ".join(doubts[:3])
            + ". Restore with the secret_keys that were in use when it was made (docs/backup.md)."
        )
    return contents


@contextmanager
def _alone(file: Path) -> Iterator[sqlite3.Connection | None]:
    """Keep everybody else out of a database; ``None`` when there is none that could be read."""
    if not file.exists():
        yield None
        return
    with closing(copying.connect(file)) as former:
        readable = True
        try:
            # Only who is alone can leave the write-ahead log; and the file is whole without it then.
            former.execute("PRAGMA journal_mode = DELETE")
            former.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Conflict(IN_USE) from error
            readable = False
        except sqlite3.DatabaseError:  # damaged: that may well be why an older one is restored
            readable = False
        yield former if readable else None


def _lost(former: sqlite3.Connection, found: mark.Mark | None) -> dict[str, int] | None:
    """Count what the former database recorded after the last event that the copy has, and did not archive since."""
    if found is None:
        return None
    try:
        has = former.execute("SELECT 1 FROM audit_events WHERE id = ? AND hash = ?", (found.id, found.hash)).fetchone()
        same = has or former.execute(ARCHIVED_SINCE, {"id": found.id, "first": found.first}).fetchone()
        newer = "SELECT event, count(*) FROM audit_events WHERE id > ? GROUP BY event ORDER BY event"
        return dict(former.execute(newer, (found.id,)).fetchall()) if same else None
    except sqlite3.DatabaseError:
        return None


def _put_in_place(new: Path, file: Path, anew: Anew) -> Path | None:
    """Rename the new database; the former one has a second name by then."""
    replaced = None
    if file.exists():
        replaced = _second_name(file, f"{file.name}.replaced-{anew.at:%Y%m%dT%H%M%SZ}")
        for name in copying.SIDECARS:  # of a damaged one: they must not be taken for the new one's
            file.with_name(file.name + name).unlink(missing_ok=True)
    new.replace(file)
    copying.sync(file.parent)
    return replaced


def _second_name(file: Path, name: str) -> Path:
    """Give a file one more name, and take nobody else's: two restores may fall into one second."""
    for number in count(1):
        second = file.with_name(name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            os.link(file, second)
            return second
    raise AssertionError("numbers do not end")
