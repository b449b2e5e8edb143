"""S52: an archive proves itself without a database; whatever was done to it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from tempadmin.audit import archive
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict, Invalid
from tempadmin.keys import Keys
from tests.tempadmin.pruned import archive_of, prune_all, write_events
from tests.world import KEYS, World
from tickets.models import Activity

Lines = list[dict[str, Any]]


@pytest.fixture
def file(world: World) -> Path:
    """Chains 1 and 2 with three events each, and two rows of activity at 2."""
    write_events(world, 3, 1, 2)
    row = {"request_id": 9, "instance_id": 2, "occurred_at": world.clock.now(), "actor_id": 1, "subject_id": 3}
    words = {"actor_name": "Ada Brandt", "method": "GET", "path": "/users", "status": 200, "did": "Looked at users"}
    with transaction() as session:
        session.connection().execute(insert(Activity), [row | words] * 2)
    world.clock.advance(days=31)
    prune_all(world)
    return archive_of(world)


def _details(lines: Lines) -> None:
    lines[2]["event"]["details"] = "{}"


def _other_activity(lines: Lines) -> None:
    lines[7]["activity"]["actor_name"] = "Somebody else"


def _header(lines: Lines) -> None:
    lines[0]["before"] = "2027-01-01T00:00:00+00:00"


def _all_of_a_chain(lines: Lines) -> None:
    del lines[1:4]
    del lines[0]["chains"][0]
    lines[-1]["end"]["event"] = 3


TAMPERINGS: dict[str, Callable[[Lines], object]] = {
    "an edited event": _details,
    "edited activity": _other_activity,
    "an edited first line": _header,
    "an event taken out": lambda lines: lines.pop(2),
    "the last event of a chain taken out": lambda lines: lines.pop(3),
    "an event twice": lambda lines: lines.insert(2, lines[2]),
    "events in another order": lambda lines: lines.insert(1, lines.pop(2)),
    "a chain taken out": _all_of_a_chain,
    "activity taken out": lambda lines: lines.pop(7),
    "activity twice": lambda lines: lines.insert(7, lines[7]),
    "a cut tail": lambda lines: lines.pop(),
    "something after the end": lambda lines: lines.append(lines[1]),
    "nothing": lambda lines: lines.clear(),
}


def as_written(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


@pytest.mark.only_sqlite
def test_s52_an_archive_proves_itself(file: Path) -> None:
    """With the keys of its time, whatever others came since; and without them it proves nothing."""
    plan, _digest = archive.read(file, Keys(("n" * 32, *KEYS)))
    assert (plan.events, plan.activity) == (6, 2)
    with pytest.raises(Invalid, match="edited or inserted"):
        archive.read(file, Keys(("n" * 32,)))


@pytest.mark.only_sqlite
def test_s52_a_changed_archive_is_found(file: Path, world: World) -> None:
    """Neither an event nor a row of activity can be changed, taken out or put in."""
    untouched = file.read_text("utf-8")
    for tamper in TAMPERINGS.values():
        lines = [json.loads(line) for line in untouched.splitlines()]
        tamper(lines)
        file.write_text("".join(map(as_written, lines)), "utf-8")
        with pytest.raises(Invalid, match="no archive of the record, or it was cut or changed"):
            archive.read(file, world.runtime.keys)
    file.write_text("".join(as_written(json.loads(line)) for line in untouched.splitlines()), "utf-8")
    archive.read(file, world.runtime.keys)


@pytest.mark.only_sqlite
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]\n", b'{"archive": 2}\n', b'{"archive": 1}\n', b"{" * 9])
def test_s52_what_is_no_archive_is_told(content: bytes, tmp_path: Path) -> None:
    """In one sentence, whatever it is."""
    other = tmp_path / "other"
    other.write_bytes(content)
    with pytest.raises(Invalid, match="is no archive"):
        archive.read(other, Keys(KEYS))


@pytest.mark.only_sqlite
def test_s51_an_archive_never_replaces_a_file(file: Path, world: World) -> None:
    """Not one either that comes to be while it is written."""
    plan, _digest = archive.read(file, world.runtime.keys)
    before = file.read_bytes()
    lines = [next(iter(json.loads(line).items())) for line in file.read_text("utf-8").splitlines()[1:-1]]
    with pytest.raises(Conflict, match="exists already"):
        archive.write(file, plan, lines, world.runtime.keys)
    assert file.read_bytes() == before
    assert list(file.parent.glob("*.part")) == []
    db.session.rollback()
