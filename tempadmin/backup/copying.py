"""Copies of the embedded database: made while the service runs, whole when they appear, and looked through."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import func, make_url, select, text

from tempadmin import schema
from tempadmin.accounts.models import User
from tempadmin.app import create_app
from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.db import db
from tempadmin.doctor import contents
from tempadmin.doctor.findings import Level
from tempadmin.engine import LOCK_TIMEOUT_SECONDS
from tempadmin.errors import Conflict, Invalid, Unavailable
from tempadmin.runtime import Runtime, current_runtime
from tempadmin.settings import Settings

PAGES = 256
"""How many pages are copied at a time; between two steps Ctrl-C is heard, and progress is shown."""
SIDECARS = ("-wal", "-shm", "-journal")

Progress = Callable[[int, int], None]
"""Told how many pages are done, and of how many."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a copy holds; ``doubts`` are about the data and not the copy: the original has them too."""

    revision: str
    people: int
    chains: int
    events: int
    newest_event: datetime | None
    doubts: tuple[str, ...]


def database_file(settings: Settings) -> Path:
    """Return the embedded database's file.

    Raises
    ------
    Invalid
        On PostgreSQL, which has programs of its own for this.
    """
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite":
        return Path(url.database or "")
    address = url.set(drivername="postgresql", password=None).render_as_string()
    raise Invalid(
        f"The database is a PostgreSQL server's, which copies and restores it with its own programs:\n"
        f"  pg_dump --format=custom --file=FILE {address}\n"
        f"  pg_restore --clean --if-exists --single-transaction --dbname={address} FILE\n"
        f"  tempadmin db restored\n"
        f"Keep to that order, with the service stopped from the second on; docs/backup.md says more."
    )


def back_up(*, target: Path, force: bool, runtime: Runtime, progress: Progress) -> Contents:
    """Copy the embedded database to a new file (mode 0600), while the service runs.

    The copy is one moment's: it is read in one transaction, which keeps no writer waiting. It is made under another
    name, looked through, written to the disk, and then renamed.

    Raises
    ------
    Conflict
        When the file exists already, unless ``force``; or is the database itself.
    Invalid
        On PostgreSQL, or when there is nothing to copy.
    Unavailable
        When the copy is not sound.
    """
    source = database_file(runtime.settings)
    if not source.exists():
        raise Invalid(f"There is no database at {source}.")
    if target.exists() and target.samefile(source):
        raise Conflict(f"{target} is the database itself.")
    if target.exists() and not force:
        raise Conflict(f"{target} exists already; name another file, or say --force to replace it.")
    unfinished = beside(target)
    try:
        copy(source, unfinished, progress=progress)
        with opened(unfinished, runtime.settings):
            found = look_through()
        finish(unfinished)
        unfinished.replace(target)
        sync(target.parent)
    except OSError as error:
        raise Unavailable(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        remove(unfinished)
    return found


def copy(source: Path, target: Path, *, progress: Progress) -> None:
    """Copy a database as it is at one moment into a new file, which nobody else may read."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(connect(source)) as there, closing(connect(target)) as here:
            there.execute("BEGIN")
            # One snapshot for all steps: else each write of others would have the copy begin again.
            there.execute("SELECT count(*) FROM sqlite_master").fetchone()
            there.backup(here, pages=PAGES, progress=lambda _status, left, total: progress(total - left, total))
    except sqlite3.OperationalError as error:
        raise Unavailable(f"{source} cannot be copied: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"{source} is no sound database: {error}.") from error


@contextmanager
def opened(file: Path, settings: Settings) -> Iterator[Runtime]:
    """Have an application at work on a copy of the database."""
    app = create_app(settings.model_copy(update={"database_url": f"sqlite:///{file.absolute()}"}))
    with app.app_context():
        try:
            yield current_runtime()
        finally:
            db.session.remove()
            db.engine.dispose()


def look_through() -> Contents:
    """Check the pages of the copy at work, and say what is in it.

    Raises
    ------
    Unavailable
        When it is damaged.
    Invalid
        When it is no database of ours.
    """
    with db.engine.connect() as connection:
        damage = [str(line) for line in connection.scalars(text("PRAGMA integrity_check")) if line != "ok"]
        damage += [
            f"a row of {row[0]} names a missing {row[2]}"
            for row in connection.execute(text("PRAGMA foreign_key_check"))
        ]
    if damage:
        raise Unavailable(
            f"The copy is damaged: {damage[0]}" + (f" (and {len(damage) - 1} more)" if damage[1:] else "")
        )
    present, newest, _known = schema.revisions()
    if not present:
        raise Invalid("This is no database of tempadmin, or one that was never prepared.")
    revision = ", ".join(sorted(present))
    doubts = doubts_about(current_runtime()) if present == newest else ()
    return Contents(
        revision=revision,
        people=_count(User.id),
        chains=_count(AuditHead.instance_id),
        events=_count(AuditEvent.id),
        newest_event=db.session.scalar(select(AuditEvent.occurred_at).order_by(AuditEvent.id.desc()).limit(1)),
        doubts=doubts,
    )


def doubts_about(runtime: Runtime) -> tuple[str, ...]:
    """Say where keys or chains do not fit (S15, S52)."""
    found = [*contents.keys(runtime), *contents.audit_heads(runtime)]
    return tuple(one.message for one in found if one.level is Level.ERROR)


def connect(file: Path) -> sqlite3.Connection:
    """Open a file that is there; SQLite would make one that is not."""
    address = f"file:{quote(str(file.absolute()))}?mode=rw"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)


def beside(file: Path) -> Path:
    """Return a name in the same folder that nothing has: what is renamed from there to here appears at once."""
    return file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")


def finish(file: Path) -> None:
    """Make a database that nobody has open one file, and write it to the disk."""
    with closing(connect(file)) as alone:
        alone.execute("PRAGMA journal_mode = DELETE")
    sync(file)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(file: Path) -> None:
    """Remove a database and what SQLite keeps beside it, as far as any of it is there and can be removed."""
    for name in ("", *SIDECARS):
        with suppress(OSError):  # why it could not be made is said already
            file.with_name(file.name + name).unlink()


def _count(column: object) -> int:
    return db.session.scalar(select(func.count(column))) or 0  # type: ignore[arg-type]
