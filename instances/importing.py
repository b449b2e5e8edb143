"""Importing many instances: every line is judged before the first is written."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, or_, select
from sqlalchemy.exc import IntegrityError

from instances.models import VirtualInstance
from instances.registry import LABEL, checked_host
from tempadmin.accounts.people import cleaned_name
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import Runtime

COLUMNS = ["web_id", "name", "host"]
STEP = 1_000
"""Lines in one transaction: a running service waits for its lock meanwhile (about a quarter of a second, measured)."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One good line."""

    web_id: str
    name: str
    host: str


def read(lines: Iterable[str], *, runtime: Runtime) -> tuple[list[Line], list[tuple[int, str]]]:
    """Judge every line; return the good ones, and for each bad one its number and what is wrong with it."""
    taken_ids = set(db.session.scalars(select(VirtualInstance.web_id)))
    taken_hosts = set(db.session.scalars(select(VirtualInstance.virtual_hostname)))
    good: list[Line] = []
    bad: list[tuple[int, str]] = []
    records = _records(lines)
    _, header = next(records, (1, []))
    if [name.strip().lower() for name in header] != COLUMNS:
        unreadable = any(sign in cell for cell in header for sign in "\0\ufffd")
        hint = "; the file is not UTF-8, save it as CSV UTF-8" if unreadable else ""
        return [], [(1, f"the first line must be: {','.join(COLUMNS)}{hint}")]
    for number, cells in records:
        if isinstance(cells, list) and not any(cell.strip() for cell in cells):
            continue
        try:
            line = _line(cells, runtime)
            _refuse_taken(line, taken_ids, taken_hosts)
        except Invalid as error:
            bad.append((number, error.message))
            continue
        taken_ids.add(line.web_id)
        taken_hosts.add(line.host)
        good.append(line)
    return good, bad


def write(lines: list[Line], *, actor: Actor, runtime: Runtime, progress: Callable[[int], None]) -> None:
    """Write lines that were judged good, each with its audit event; ``progress`` gets how many more are done.

    Raises
    ------
    Conflict
        When somebody took a name since the lines were read; what was written before stays, and the message says so.
    """
    for at in range(0, len(lines), STEP):
        step = lines[at : at + STEP]
        try:
            with transaction():
                _add(step, actor=actor, now=runtime.now())
        except IntegrityError:  # somebody else took a name since the lines were read
            message = f"{_taken(step)} was taken a moment ago. {at} lines are imported; try again with --skip-bad."
            raise Conflict(message) from None
        progress(len(step))


def _add(lines: list[Line], *, actor: Actor, now: datetime) -> None:
    """Add many instances to the open transaction by one statement, each with its audit event."""
    columns = {"is_default": False, "created_at": now}
    rows = [{"web_id": one.web_id, "name": one.name, "virtual_hostname": one.host, **columns} for one in lines]
    made = db.session.execute(insert(VirtualInstance).returning(VirtualInstance.web_id, VirtualInstance.id), rows)
    ids = {row.web_id: row.id for row in made}
    for line in lines:
        record(
            "instance.created", instance_id=ids[line.web_id], actor=actor, at=now, web_id=line.web_id, host=line.host
        )


def _taken(lines: list[Line]) -> str:
    """Name what somebody else took of some lines."""
    rivals = select(VirtualInstance.web_id, VirtualInstance.virtual_hostname).where(
        or_(
            VirtualInstance.web_id.in_([line.web_id for line in lines]),
            VirtualInstance.virtual_hostname.in_([line.host for line in lines]),
        )
    )
    rival = db.session.execute(rivals.limit(1)).first()
    return "A web id or host name" if rival is None else f"The web id {rival[0]} or its host name {rival[1]}"


def _records(lines: Iterable[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the number of each record's first line and its cells, or in words why it is no CSV."""
    reader = csv.reader(lines, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, str(error)


def _refuse_taken(line: Line, web_ids: set[str], hosts: set[str | None]) -> None:
    if line.web_id in web_ids:
        raise Invalid(f"the web id {line.web_id} is taken")
    if line.host in hosts:
        raise Invalid(f"the host name {line.host} is taken")


def _line(cells: list[str] | str, runtime: Runtime) -> Line:
    if isinstance(cells, str):
        raise Invalid(f"is no CSV: {cells}")
    if len(cells) != len(COLUMNS):
        raise Invalid(f"has {len(cells)} columns instead of {len(COLUMNS)}")
    web_id, name, host = (cell.strip() for cell in cells)
    if not LABEL.fullmatch(web_id):
        raise Invalid("the web id needs 1 to 63 lower-case letters, digits and inner hyphens")
    if "\ufffd" in name:
        raise Invalid("the name is not UTF-8")
    return Line(web_id=web_id, name=cleaned_name(name), host=checked_host(host, runtime=runtime))
