"""The file that holds what was pruned: lines of JSON, complete, and verifiable without any database.

The first line says what it holds, chain by chain; then each event and each row of activity is a line; the last counts
them, and keys the SHA-256 of everything before it (HMAC, key outside the file). So whoever has the secret keys can
tell whether a line was changed, taken out or put in, years later.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tempadmin.audit.chain import Link, faults
from tempadmin.errors import Conflict, Invalid, Unavailable
from tempadmin.keys import Keys

PURPOSE = "audit-archive"
FORMAT = 1
EVENT, ACTIVITY = "event", "activity"

Line = tuple[str, Mapping[str, Any]]
"""A kind and its values; moments are in ISO 8601."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What goes of one instance's record: its events from ``start`` to ``end``, and activity up to an id."""

    instance_id: int
    name: str
    start: int
    end: int
    previous_hash: str
    """Of the event before ``start``."""
    hash: str
    """Of the event ``end``."""
    activity_id: int
    activity: int
    """How many rows of activity go."""

    @property
    def events(self) -> int:
        """How many events go."""
        return self.end - self.start + 1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What goes: everything before a moment (UTC), of one instance or of all (``instance_id`` is ``None``)."""

    database: str
    """The hash of the database's very first event."""
    before: datetime
    instance_id: int | None
    chains: tuple[Chain, ...]

    @property
    def events(self) -> int:
        """How many events go."""
        return sum(chain.events for chain in self.chains)

    @property
    def activity(self) -> int:
        """How many rows of activity go."""
        return sum(chain.activity for chain in self.chains)

    @property
    def rows(self) -> int:
        """How many go in all."""
        return self.events + self.activity


def write(file: Path, plan: Plan, lines: Iterable[Line], keys: Keys) -> str:
    """Write an archive, see that it holds, and only then give it its name; return the SHA-256 of the file.

    Raises
    ------
    Conflict
        When a file of that name is there: nothing is ever replaced.
    Invalid
        When what was written does not hold: the record was changed before.
    Unavailable
        When it cannot be written.
    """
    unfinished = file.with_name(file.name + ".part")
    try:
        _write(unfinished, plan, lines, keys)
        _found, digest = read(unfinished, keys)
        os.link(unfinished, file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise Conflict(f"{file} exists already; name another file.") from error
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):  # why it could not be made is said already
            unfinished.unlink()
    return digest


def read(file: Path, keys: Keys) -> tuple[Plan, str]:
    """Check every line of an archive; return what it holds and the SHA-256 of the file.

    Raises
    ------
    Invalid
        When it is no archive, or anything in it is not as it was written.
    """
    try:
        with file.open("rb") as lines:
            return _read(lines, keys)
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Invalid(f"{file} is no archive of the record, or it was cut or changed: {error}.") from error


def _write(file: Path, plan: Plan, lines: Iterable[Line], keys: Keys) -> None:
    digest, counted = hashlib.sha256(), {EVENT: 0, ACTIVITY: 0}
    descriptor = os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as out:

        def put(values: Mapping[str, Any]) -> None:
            line = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            digest.update(line)
            out.write(line)

        put({"archive": FORMAT, **asdict(plan), "before": plan.before.isoformat()})
        for kind, values in lines:
            counted[kind] += 1
            put({kind: values})
        put({"end": {**counted, "mac": keys.mac(PURPOSE, digest.digest())[0]}})
        out.flush()
        os.fsync(out.fileno())


class _Reader:
    """Reads the lines in their order, and keeps count."""

    def __init__(self, lines: Iterable[bytes], keys: Keys) -> None:
        self.keys, self.digest, self.counted = keys, hashlib.sha256(), {EVENT: 0, ACTIVITY: 0}
        self._lines = iter(lines)
        self.next: dict[str, Any] = {}
        self.before_next = b""
        self.move()

    def move(self) -> dict[str, Any]:
        """Return the present line and read the next one; ``before_next`` is the digest of all lines before that."""
        present, self.before_next = self.next, self.digest.digest()
        line = next(self._lines, b"")
        self.digest.update(line)
        self.next = json.loads(line) if line else {}
        return present

    def all(self, kind: str, instance_id: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the following lines of a kind, of one instance."""
        while kind in self.next and instance_id in (None, self.next[kind]["instance_id"]):
            self.counted[kind] += 1
            yield self.move()[kind]


def _read(lines: Iterable[bytes], keys: Keys) -> tuple[Plan, str]:
    reader = _Reader(lines, keys)
    header = reader.move()
    if header["archive"] != FORMAT:
        raise ValueError("it is of another version")
    plan = Plan(
        database=header["database"],
        before=datetime.fromisoformat(header["before"]),
        instance_id=header["instance_id"],
        chains=tuple(Chain(**one) for one in header["chains"]),
    )
    for chain in plan.chains:
        links = (_link(values) for values in reader.all(EVENT, chain.instance_id))
        after, head = (chain.start - 1, chain.previous_hash), (chain.end, chain.hash)
        for fault in faults(links, keys, instance_id=chain.instance_id, head=head, after=after):
            raise ValueError(f"{chain.name}, event {fault.number}: {fault.message}")
    upmost = {chain.instance_id: chain.activity_id for chain in plan.chains}
    if any(row["id"] > upmost[row["instance_id"]] for row in reader.all(ACTIVITY)):
        raise ValueError("it holds activity that it should not")
    signed = reader.before_next
    end = reader.move()["end"]
    if reader.next or reader.counted != {EVENT: plan.events, ACTIVITY: plan.activity}:
        raise ValueError("it does not hold what its first line says")
    if not keys.mac_is_right(PURPOSE, signed, end["mac"]):
        raise ValueError("its signature does not fit")
    return plan, reader.digest.hexdigest()


def _link(values: dict[str, Any]) -> Link:
    return cast(Link, SimpleNamespace(**{**values, "occurred_at": datetime.fromisoformat(values["occurred_at"])}))
