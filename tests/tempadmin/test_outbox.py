"""Mails wait in the database until a server has taken them (design §10, P12)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from jinja2 import ChoiceLoader, DictLoader
from sqlalchemy import select, update

from tempadmin.db import db, transaction
from tempadmin.outbox.models import OutboxMessage
from tempadmin.outbox.queue import composers, deliver_due, enqueue
from tests.conftest import Build
from tests.smtp import Server, running
from tests.world import World, plain

LINK = "https://console.example.com/welcome?key=" + "k" * 150
TEMPLATE = "letter"
LETTER = """{% set subject %}A letter to {{ name }}{% endset %}
{% set story %}Hello, {{ name }}, this is ours.{% endset %}
{% set action = "Read it" %}
"""


@pytest.fixture
def server() -> Iterator[tuple[Server, Controller]]:
    with running() as both:
        yield both


@pytest.fixture
def world(build: Build, server: tuple[Server, Controller]) -> World:
    """A world that sends to the server, with one short template of its own."""
    world = build(mail_url=f"smtp://127.0.0.1:{server[1].port}")
    words = {"mail/letter.txt": LETTER}
    world.app.jinja_env.loader = ChoiceLoader([DictLoader(words), world.app.jinja_env.loader or DictLoader({})])
    composers(world.app)[TEMPLATE] = lambda ids, secret, _runtime: {
        "name": "Per Ålesund" if ids.get("unicode") else "Per Holm",
        "link": LINK + (secret or ""),
    }
    return world


def queue(world: World, recipient: str = "per@acme.example", secret: str | None = "tail", **more: object) -> int:
    """Queue one mail; it is tried right after the commit. Return its id."""
    with transaction():
        enqueue(
            TEMPLATE,
            recipient=recipient,
            ids={"unicode": 1} if more.pop("unicode", False) else {},
            secret=secret,
            now=world.clock.now(),
            runtime=world.runtime,
            **more,  # type: ignore[arg-type]
        )
    return db.session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id.desc())).first() or 0


def shape(message: EmailMessage) -> list[str]:
    """The message's parts, and how each is encoded."""
    return [
        " ".join(said for said in (part.get_content_type(), part["Content-Transfer-Encoding"]) if said)
        for part in message.walk()
    ]


def row(message_id: int) -> OutboxMessage:
    db.session.rollback()
    return db.session.get_one(OutboxMessage, message_id)


def test_a_mail_arrives_with_its_link_whole(world: World, server: tuple[Server, Controller]) -> None:
    """Right after the commit; 7bit and unwrapped, so that no line end falls into the link."""
    sent = row(queue(world))
    [(recipients, raw)] = server[0].mails
    assert recipients == ["per@acme.example"]
    assert f"\r\n{LINK}tail\r\n".encode() in raw
    [message] = server[0].messages
    assert message["Auto-Submitted"] == "auto-generated"
    assert shape(message) == ["multipart/alternative", "text/plain 7bit", "text/html 7bit"]
    assert (sent.attempts, sent.sent_at, sent.next_attempt_at) == (1, world.clock.now(), None)


def test_a_mail_with_other_letters_keeps_its_link_whole(world: World, server: tuple[Server, Controller]) -> None:
    """A name that is not ASCII changes nothing about the link."""
    queue(world, unicode=True)
    [message] = server[0].messages
    assert "Per Ålesund" in plain(message)
    assert f"{LINK}tail" in plain(message).splitlines()
    assert (LINK + "tail").encode() in server[0].mails[0][1]


def test_p12_a_secret_waits_sealed_and_is_erased_when_it_is_sent(
    world: World, server: tuple[Server, Controller]
) -> None:
    """While the server refuses, the database holds it encrypted; with the mail it is gone."""
    server[0].reply = "451 later"
    message_id = queue(world, secret="veryverysecret")
    waiting = row(message_id)
    assert waiting.sealed_secret
    assert "veryverysecret" not in waiting.sealed_secret + waiting.ids
    server[0].reply = "250 OK"
    world.clock.advance(hours=1)
    assert deliver_due(world.runtime) == "1 of 1 mails sent"
    assert row(message_id).sealed_secret is None
    assert "veryverysecret" in plain(server[0].messages[0])


def test_a_mail_that_is_not_taken_is_tried_again_with_growing_pauses(
    world: World, server: tuple[Server, Controller]
) -> None:
    """Fifteen seconds, doubled each time, up to an hour; not before it is due."""
    server[0].reply = "451 later"
    message_id, pauses = queue(world), []
    for _ in range(11):
        waiting = row(message_id)
        assert waiting.next_attempt_at is not None
        pauses.append((waiting.next_attempt_at - world.clock.now()).total_seconds())
        world.clock.time = waiting.next_attempt_at - timedelta(seconds=1)
        deliver_due(world.runtime)
        world.clock.advance(seconds=1)
        deliver_due(world.runtime)
    assert pauses == [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert server[0].tried == 12
    assert "451" in (row(message_id).last_error or "")
    server[0].reply = "250 OK"
    world.clock.advance(hours=1)
    deliver_due(world.runtime)
    assert row(message_id).sent_at == world.clock.now()
    assert len(server[0].mails) == 1


def test_a_server_that_is_down_spoils_nothing(world: World, server: tuple[Server, Controller]) -> None:
    """What was committed stays; the mail waits for the server to come back."""
    server[1].stop()
    message_id = queue(world)
    assert "could not be reached" in (row(message_id).last_error or "")
    assert row(message_id).next_attempt_at == world.clock.now() + timedelta(seconds=15)


def test_an_address_that_is_refused_for_good_is_given_up(world: World, server: tuple[Server, Controller]) -> None:
    """A permanent refusal is not repeated, and its secret does not stay."""
    server[0].reply = "550 no such user"
    refused = row(queue(world))
    assert (refused.next_attempt_at, refused.sealed_secret, refused.sent_at) == (None, None, None)


def test_a_mail_is_given_up_after_three_days(world: World, server: tuple[Server, Controller]) -> None:
    """By then nobody waits for it."""
    server[0].reply = "451 later"
    message_id = queue(world)
    world.clock.advance(days=3)
    deliver_due(world.runtime)
    assert (row(message_id).next_attempt_at, row(message_id).sealed_secret) == (None, None)


def test_a_mail_that_has_become_useless_is_not_sent(world: World, server: tuple[Server, Controller]) -> None:
    """Its link would be dead; the secret goes too."""
    server[0].reply = "451 later"
    message_id = queue(world, useful_until=world.clock.now() + timedelta(minutes=5))
    server[0].reply = "250 OK"
    world.clock.advance(minutes=5)
    deliver_due(world.runtime)
    assert server[0].mails == []
    assert (row(message_id).sent_at, row(message_id).sealed_secret) == (None, None)


@pytest.mark.parametrize("kind", ["a secret that does not open", "a template that fails", "an address nobody speaks"])
def test_one_bad_mail_holds_no_other_up(kind: str, world: World, server: tuple[Server, Controller]) -> None:
    """Whatever is wrong with the first, the second is sent, and the first waits longer each time."""
    server[0].reply = "451 later"
    bad, good = queue(world), queue(world, recipient="ida@acme.example")
    changes = {
        "a secret that does not open": {"sealed_secret": "garbage"},
        "a template that fails": {"template": "no_such_template"},
        "an address nobody speaks": {"recipient": "pér@acme.example"},
    }
    with transaction():
        db.session.execute(update(OutboxMessage).where(OutboxMessage.id == bad).values(**changes[kind]))
    server[0].reply = "250 OK"
    for _ in range(3):
        world.clock.advance(hours=1)
        try:
            deliver_due(world.runtime)
        except Exception:  # noqa: BLE001 - the job fails, and is run again
            db.session.rollback()
    assert row(good).sent_at is not None
    assert row(bad).attempts >= 2


@pytest.mark.only_postgresql
def test_two_who_send_at_once_take_different_mails(world: World, server: tuple[Server, Controller]) -> None:
    """Ten at a time, past those that another has just locked: nobody waits, and no mail goes out twice."""
    for number in range(25):
        queue(world, f"p{number}@acme.example", promptly=False)
    with db.engine.connect() as other:
        others = select(OutboxMessage.id).order_by(OutboxMessage.id).limit(10).with_for_update()
        locked = set(other.scalars(others))
        assert deliver_due(world.runtime) == "15 of 15 mails sent"
        assert locked.isdisjoint(db.session.scalars(select(OutboxMessage.id).where(OutboxMessage.sent_at.is_not(None))))
    assert deliver_due(world.runtime) == "10 of 10 mails sent"
    recipients = [one for mail in server[0].mails for one in mail[0]]
    assert sorted(recipients) == sorted(f"p{number}@acme.example" for number in range(25))


def test_on_a_slow_day_no_mail_is_begun_that_its_claim_would_not_cover(
    world: World, server: tuple[Server, Controller]
) -> None:
    """Past twenty seconds the rest of a batch waits for its claim to lapse, and is sent once then."""
    for number in range(3):
        queue(world, f"p{number}@acme.example", promptly=False)
    composers(world.app)[TEMPLATE] = lambda *_: (world.clock.advance(seconds=15), {"name": "Per", "link": LINK})[1]
    assert deliver_due(world.runtime) == "2 of 2 mails sent"
    assert deliver_due(world.runtime) == "0 of 0 mails sent"
    world.clock.advance(seconds=30)
    assert deliver_due(world.runtime) == "1 of 1 mails sent"
    assert len(server[0].mails) == 3


def test_a_link_does_not_wait_behind_announcements(world: World, server: tuple[Server, Controller]) -> None:
    """What is of use for minutes goes out with the first ten; one run of the job goes on until nothing is due."""
    for number in range(60):
        queue(world, f"p{number}@acme.example", promptly=False)
    soon = world.clock.now() + timedelta(minutes=5)
    queue(world, "link@acme.example", promptly=False, useful_until=soon)
    assert deliver_due(world.runtime) == "61 of 61 mails sent"
    recipients = [one for mail in server[0].mails for one in mail[0]]
    assert recipients.index("link@acme.example") < 10
