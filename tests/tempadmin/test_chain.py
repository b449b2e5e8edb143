"""The chain itself, without a database: the bytes that stand for an event, and every way in which a chain can lie."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempadmin.audit.chain import GENESIS, canonical, faults, seal
from tempadmin.keys import Keys

KEYS = Keys(("k" * 32,))
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.timezones())  # noqa: DTZ001 - theirs
MOMENT = datetime(2026, 11, 22, 10, 0, 5, 42, tzinfo=UTC)


@dataclass
class Event:
    """One link of a chain."""

    instance_id: int = 7
    number: int = 1
    occurred_at: datetime = MOMENT
    event: str = "access.requested"
    actor_id: int | None = 3
    actor_name: str = "Ørn “Ada”"
    request_id: int | None = None
    details: str = '{"a": 1}'
    previous_hash: str = GENESIS
    hash: str = ""


def sealed(event: Event, keys: Keys = KEYS) -> Event:
    return replace(event, hash=seal(event, keys))


def chain(length: int) -> list[Event]:
    """A sound chain."""
    links: list[Event] = []
    for number in range(1, length + 1):
        links.append(sealed(Event(number=number, previous_hash=links[-1].hash if links else GENESIS)))
    return links


def said(links: list[Event], head: tuple[int, str] | None) -> list[tuple[int, str]]:
    found = list(faults(links, KEYS, instance_id=7, head=head))
    assert {one.instance_id for one in found} <= {7}
    return [(one.number, one.message) for one in found]


@given(st.text(), st.text(), st.integers() | st.none(), MOMENTS)
def test_s50_the_bytes_are_those_of_json(name: str, details: str, number: int | None, moment: datetime) -> None:
    """Whatever people type: sorted keys, no spaces, the text as it is; any JSON library can check a chain."""
    event = Event(actor_name=name, details=details, actor_id=number, request_id=number, occurred_at=moment)
    told = asdict(event) | {"occurred_at": moment.astimezone(UTC).isoformat(timespec="microseconds")}
    del told["hash"]
    expected = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical(event) == expected.encode()


def test_s50_an_event_is_put_into_these_very_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted keys, no spaces, text as it is, UTC to the microsecond: a change here voids every chain ever written."""
    assert canonical(Event()).decode() == (
        '{"actor_id":3,"actor_name":"Ørn “Ada”","details":"{\\"a\\": 1}","event":"access.requested",'
        '"instance_id":7,"number":1,"occurred_at":"2026-11-22T10:00:05.000042+00:00",'
        f'"previous_hash":"{"0" * 64}","request_id":null}}'
    )
    monkeypatch.setenv("TZ", "Asia/Kolkata")  # the machine's own zone must not matter
    time.tzset()
    assert canonical(Event()).endswith(f'{"0" * 64}","request_id":null}}'.encode())
    assert b"10:00:05.000042+00:00" in canonical(Event())
    monkeypatch.undo()
    time.tzset()
    there = timezone(timedelta(hours=5, minutes=30))
    assert canonical(Event(occurred_at=MOMENT.astimezone(there))) == canonical(Event())
    assert b'05.000000+00:00"' in canonical(Event(occurred_at=MOMENT.replace(microsecond=0)))


def test_s50_the_hash_is_keyed_and_of_the_newest_key() -> None:
    """HMAC-SHA-256 for the purpose *audit*; another key or purpose gives another."""
    event, newer = Event(), Keys(("n" * 32, "k" * 32))
    assert seal(event, KEYS) == KEYS.mac("audit", canonical(event))[0]
    assert len(seal(event, KEYS)) == 64
    assert seal(event, KEYS) not in (
        hashlib.sha256(canonical(event)).hexdigest(),
        hmac.new(b"k" * 32, canonical(event), hashlib.sha256).hexdigest(),
        seal(event, newer),
    )
    assert seal(event, newer) == Keys(("n" * 32,)).mac("audit", canonical(event))[0]


@pytest.mark.parametrize(
    "change",
    [
        {"instance_id": 8},
        {"number": 2},
        {"occurred_at": MOMENT + timedelta(microseconds=1)},
        {"event": "access.ended"},
        {"actor_id": None},
        {"actor_name": "Somebody"},
        {"request_id": 1},
        {"details": "{}"},
        {"previous_hash": "1" * 64},
    ],
    ids=lambda one: next(iter(one)),
)
def test_s50_every_column_is_covered(change: dict[str, Any]) -> None:
    """No two events that differ in a column have the same bytes."""
    assert canonical(replace(Event(), **change)) != canonical(Event())


def test_s52_a_sound_chain_has_no_fault() -> None:
    """With its head; an empty one with an empty head or with none."""
    links = chain(4)
    assert said(links, (4, links[-1].hash)) == []
    assert said([], None) == []
    assert said([], (0, GENESIS)) == []


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ([2, 3], [(2, "event 1 deleted before this one")]),
        ([1, 3], [(3, "event 2 deleted before this one")]),
        ([1, 4], [(4, "events 2 to 3 deleted before this one")]),
        ([4], [(4, "events 1 to 3 deleted before this one")]),
    ],
)
def test_s52_a_gap_is_named_by_what_is_missing(left: list[int], expected: list[tuple[int, str]]) -> None:
    """One event, or from which to which."""
    links = [one for one in chain(4) if one.number in left]
    assert said(links, (links[-1].number, links[-1].hash)) == expected


def test_s52_a_number_that_comes_twice_or_too_late_is_named() -> None:
    """Each is genuine by itself; the order is not."""
    links = chain(3)
    assert said([links[0], links[0], links[1]], (2, links[1].hash)) == [(1, "inserted, or out of order")]
    assert said([links[1], links[0]], (1, links[0].hash)) == [
        (2, "event 1 deleted before this one"),
        (1, "inserted, or out of order"),
    ]


def test_s52_an_event_that_follows_another_one_is_named() -> None:
    """Right number, right hash, and not the hash before it: from another past."""
    links = chain(2)
    stranger = sealed(Event(number=2, previous_hash="5" * 64))
    message = "does not follow the event before it: re-ordered or inserted"
    assert said([links[0], stranger], (2, stranger.hash)) == [(2, message)]


def test_s52_an_edited_event_is_named_and_the_next_one_is_not() -> None:
    """Its stored hash does not fit its words; what follows still follows the stored hash."""
    links = chain(3)
    links[1] = replace(links[1], details="{}")
    message = "edited or inserted: its hash does not fit its words"
    assert said(links, (3, links[2].hash)) == [(2, message)]
    links[1] = replace(sealed(links[1], Keys(("x" * 32,))))
    assert (2, message) in said(links, (3, links[2].hash))


def test_s52_the_end_must_be_where_the_head_says() -> None:
    """A cut tail, a head that vanished, one that names another hash or an earlier event."""
    links = chain(3)
    assert said(links[:2], (3, links[2].hash)) == [(3, "the tail was cut: the chain ends with event 2")]
    assert said([], (3, links[2].hash)) == [(3, "the tail was cut: the chain ends with event 0")]
    assert said(links, None) == [(3, "the head of this chain is missing")]
    assert said(links, (3, "5" * 64)) == [(3, "the chain does not end where its head says")]
    assert said(links, (2, links[1].hash)) == [(3, "the chain does not end where its head says")]
    assert said(links[:1], None) == [(1, "the head of this chain is missing")]
