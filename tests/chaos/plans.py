"""What the clients and the nemesis are going to do: pure functions of a seed, so that a seed can be played again.

What comes of it differs from run to run, for processes and networks are not deterministic; what is tried does not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CLIENTS, PEOPLE = 8, 12
"""Clients at work at once, and the omniadmins that each has: a person's code works once in 30 s."""

INSTANCES: dict[str, tuple[str, ...]] = {"acme": (), "brix": (), "corp": ("customer",), "delta": ("omniadmin",)}
"""The customers, and whose yes each wants."""

LEAVE, REQUESTER, OMNIADMIN, CUSTOMER, SIGN_OUT = "leave", "end", "end_by_omniadmin", "end_by_customer", "sign_out"
WITH_PASSWORD = 2
"""How many of them have a password: they can sign out and in again, and get the mails of omniadmins."""

NOBODY = "nobody"
"""Nobody ends it: the idle limit or the time limit has to."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One access from its asking to its end, and what is tried with its secrets after that."""

    person: int
    instance: str
    answer: str
    """``approve`` or ``reject`` where somebody is asked, or ``nobody``."""
    confirmation: str
    """``code``, ``wrong_first``, ``not_me``, ``cancel`` or ``nobody``."""
    send_again: bool
    """Have the confirmation mailed anew, and follow the new link."""
    new_link: bool
    browsers: int
    """How many of the person's browsers follow the one link at once; none: it lapses."""
    twice: bool
    """Each comes back twice with its one code."""
    thief: bool
    """Somebody else follows it, too."""
    pages: int
    pause: float
    """Between two pages, in seconds."""
    end: str
    tabs: int
    """How many other tabs read and write on while it ends."""
    replays: int
    meddle: float | None
    """First end an access of somebody else: which, as a part of all that are open."""
    meddler: str


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One thing that the nemesis does, and for how long."""

    at: float
    kind: str
    which: int
    """Of several processes; counted round."""
    seconds: float
    share: float
    """Of connections or commits."""


KILL_SERVER, KILL_WORKER, KILL_MASTER, KILL_SCHEDULER = "kill server", "kill worker", "kill master", "kill scheduler"
STOP_SERVER, STOP_WORKER, STOP_SCHEDULER, STOP_LEADER = "stop server", "stop worker", "stop scheduler", "stop leader"
CUT, HOLE, DELAY, LOSE, RESTART = "cut", "hole", "delay", "lose commits", "restart database"

STRAIGHT: dict[str, Any] = {
    "instance": "acme",
    "confirmation": "code",
    "send_again": False,
    "new_link": False,
    "browsers": 1,
    "twice": False,
    "thief": False,
}
"""What makes any episode the straight way in."""

LASTING = {
    STOP_SERVER: (1, 12),
    STOP_WORKER: (1, 30),
    STOP_SCHEDULER: (1, 30),
    STOP_LEADER: (21, 30),  # longer than the lease
    HOLE: (1, 12),
    DELAY: (2, 8),
    LOSE: (2, 8),
}
AT_ONCE = (KILL_SERVER, KILL_WORKER, KILL_MASTER, KILL_SCHEDULER, CUT, RESTART)


def episodes(seed: str, client: int) -> Iterator[Episode]:
    """What a client does, one after the other, for ever."""
    chance = random.Random(f"{seed}/client/{client}")
    number = 0
    while True:
        person = number % PEOPLE
        ends = [LEAVE, REQUESTER, OMNIADMIN, CUSTOMER, NOBODY, *([SIGN_OUT] if person < WITH_PASSWORD else [])]
        yield Episode(
            person=person,
            instance=chance.choices(list(INSTANCES), [5, 5, 3, 2])[0],
            answer=chance.choices(["approve", "reject", NOBODY], [12, 1, 1])[0],
            confirmation=chance.choices(["code", "wrong_first", "not_me", "cancel", NOBODY], [20, 2, 1, 1, 1])[0],
            send_again=chance.random() < 0.1,
            new_link=chance.random() < 0.15,
            browsers=chance.choices([0, 1, 2, 3], [1, 5, 5, 3])[0],
            twice=chance.random() < 0.4,
            thief=chance.random() < 0.15,
            pages=chance.randrange(6),
            pause=chance.uniform(0, 0.8),
            end=chance.choices(ends, [6, 3, 3, 3, 3, 12][: len(ends)])[0],
            tabs=chance.randrange(4),
            replays=chance.randrange(2, 7),
            meddle=chance.random() if chance.random() < 0.2 else None,
            meddler=chance.choice([OMNIADMIN, CUSTOMER]),
        )
        number += 1


def troubles(seed: str, seconds: float) -> list[Trouble]:
    """What the nemesis does: every kind once before any comes again, each some seconds after the one before."""
    chance = random.Random(f"{seed}/nemesis")
    found: list[Trouble] = []
    deck: list[str] = []
    at = chance.uniform(1, 3)
    while at < seconds:
        if not deck:
            deck = [*LASTING, *AT_ONCE]
            chance.shuffle(deck)
        kind = deck.pop()
        shortest, longest = LASTING.get(kind, (0, 0))
        share = chance.choice([0.3, 1.0]) if kind in (CUT, HOLE) else chance.uniform(0.1, 0.5)
        lasts = chance.uniform(shortest, longest)
        found.append(Trouble(at=at, kind=kind, which=chance.randrange(1000), seconds=lasts, share=share))
        at += chance.uniform(1, 6)
    return found
