"""The chain itself, pure: how an event is put into words, keyed with its predecessor, and checked.

Each event's hash is an HMAC-SHA-256 over its canonical JSON and the hash before it, under a key that the database
does not hold (S50). Whoever can only write to the database can neither change an event nor make a new one that fits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from tempadmin.keys import Keys

PURPOSE, CHECKPOINT_PURPOSE = "audit", "audit-checkpoint"
GENESIS = "0" * 64
BEGINNING = (0, GENESIS)
CHECKPOINT = "audit.checkpoint"
"""The event that says that the older ones were archived."""

_quoted = json.JSONEncoder(ensure_ascii=False).encode
"""What ``json.dumps`` makes of a text."""


class Link(Protocol):
    """The columns of an event that the chain covers, and the two hashes."""

    instance_id: int
    number: int
    occurred_at: datetime
    event: str
    actor_id: int | None
    actor_name: str
    request_id: int | None
    details: str
    previous_hash: str
    hash: str


class Checkpoint(Protocol):
    """The columns of a checkpoint, all of which its signature covers."""

    instance_id: int
    number: int
    hash: str
    event_number: int
    archived_before: datetime
    made_at: datetime
    first_id: int
    first_hash: str
    last_id: int
    activity_id: int


@dataclass(frozen=True)
class Fault:
    """One place where a chain does not hold; ``number`` is the event's number in its chain."""

    instance_id: int
    number: int
    message: str


def canonical(link: Link) -> bytes:
    """Put an event into the one byte string that stands for it: sorted keys, no spaces, UTC to the microsecond."""
    # By hand, for a million events: an encoder's answer to a dictionary took twice as long (measured).
    return (
        f'{{"actor_id":{_number(link.actor_id)},"actor_name":{_quoted(link.actor_name)},'
        f'"details":{_quoted(link.details)},"event":{_quoted(link.event)},"instance_id":{link.instance_id},'
        f'"number":{link.number},"occurred_at":"{link.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")}",'
        f'"previous_hash":{_quoted(link.previous_hash)},"request_id":{_number(link.request_id)}}}'
    ).encode()


def _number(value: int | None) -> int | str:
    return "null" if value is None else value


def seal(link: Link, keys: Keys) -> str:
    """Return the hash that an event gets under the newest key."""
    return keys.mac(PURPOSE, canonical(link))[0]


def checkpoint_words(checkpoint: Checkpoint) -> bytes:
    """Put a checkpoint into the one byte string that its signature covers: sorted keys, no spaces, UTC."""
    values = {name: getattr(checkpoint, name) for name in sorted(Checkpoint.__annotations__)}
    for name in ("archived_before", "made_at"):
        values[name] = values[name].astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(values, separators=(",", ":")).encode()


def faults(
    links: Iterable[Link],
    keys: Keys,
    *,
    instance_id: int,
    head: tuple[int, str] | None,
    after: tuple[int, str] = BEGINNING,
) -> Iterator[Fault]:
    """Walk one instance's chain, oldest first, and yield what does not hold.

    Parameters
    ----------
    links
        The stored events in the order of their numbers.
    keys
        Any configured key may have made an event: keys rotate.
    instance_id
        Whose chain it is.
    head
        Number and hash that the chain must end with: the stored head, or one that was kept elsewhere. ``None`` when
        there is no head row, which is right for an empty chain only.
    after
        Number and hash of the event that the first one follows, where those before it were archived.
    """
    number, hash_before = after
    for link in links:
        if link.number > number + 1:
            gone = f"event {number + 1}" if link.number == number + 2 else f"events {number + 1} to {link.number - 1}"
            yield Fault(instance_id, link.number, f"{gone} deleted before this one")
        elif link.number != number + 1:
            yield Fault(instance_id, link.number, "inserted, or out of order")
        elif link.previous_hash != hash_before:
            yield Fault(instance_id, link.number, "does not follow the event before it: re-ordered or inserted")
        if not keys.mac_is_right(PURPOSE, canonical(link), link.hash):
            yield Fault(instance_id, link.number, "edited or inserted: its hash does not fit its words")
        number, hash_before = link.number, link.hash
    if head is None:
        if number:
            yield Fault(instance_id, number, "the head of this chain is missing")
    elif number < head[0]:
        yield Fault(instance_id, head[0], f"the tail was cut: the chain ends with event {number}")
    elif (number, hash_before) != head:
        yield Fault(instance_id, number, "the chain does not end where its head says")
