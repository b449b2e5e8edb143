"""Tickets' own rules, below the pages: what lives and what is spent (S01, S04, S06, P4)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.db import db, transaction
from tempadmin.errors import Gone, NotFound
from tests.tickets.evidence import BEA
from tests.tickets.tickets_at_hand import SECOND, found, found_again, issue, put_code
from tests.world import World
from tickets import tokens
from tickets.models import CONFIRM, LOGIN, Ticket

SPENT = "This link was used already, replaced by a newer one, or its time is over."
NO_LINK = "There is no such link here."


@pytest.fixture
def request_id(world: World, acme: VirtualInstance) -> int:
    """A request with a live confirm ticket."""
    return world.ask(world.signed_in(), "acme").id


def test_s01_a_ticket_is_stored_as_what_it_is_for_and_a_digest(world: World, request_id: int) -> None:
    """Request, purpose, both moments; the key's secret only as its purpose's own digest."""
    now = world.clock.now()
    key = issue(world, request_id)
    ticket = found(world, key)
    assert (ticket.request_id, ticket.purpose) == (request_id, LOGIN)
    assert (ticket.issued_at, ticket.expires_at) == (now, now + 300 * SECOND)
    assert (ticket.used_at, ticket.voided_at, ticket.code_digest) == (None, None, None)
    secret = str(world.runtime.keys.serializer("ticket.login").loads(key))
    assert ticket.digest == world.runtime.keys.digest("ticket.login", secret)


def test_a_new_ticket_voids_the_former_one_of_its_purpose_only(world: World, request_id: int) -> None:
    """At most one is live per request and purpose; the other purpose's stays, and so do other requests' tickets."""
    world.omniadmin(BEA)
    other_id = world.ask(world.signed_in(BEA), "acme").id
    other, confirm, first = issue(world, other_id), issue(world, request_id, CONFIRM), issue(world, request_id)
    put_code(world, first, "v" * 43)
    world.clock.advance(seconds=1)
    second = issue(world, request_id)
    old = found(world, first)
    assert (old.voided_at, old.code_digest, old.code_challenge, old.code_expires_at) == (
        world.clock.now(),
        None,
        None,
        None,
    )
    for key, purpose in ((second, LOGIN), (confirm, CONFIRM), (other, LOGIN)):
        assert found(world, key, purpose).voided_at is None
    with transaction():
        tokens.void(request_id=request_id, now=world.clock.now())
    assert tokens.live_until(request_id=request_id, now=world.clock.now()) is None
    assert tokens.live_until(request_id=other_id, now=world.clock.now()) is not None


def test_an_end_voids_the_tickets_of_every_purpose(world: World, request_id: int) -> None:
    """Those that were used or voided before keep their moment."""
    confirm, login = issue(world, request_id, CONFIRM), issue(world, request_id)
    with transaction():
        tokens.use(tokens.find(confirm, purpose=CONFIRM, runtime=world.runtime), now=world.clock.now())
    later = world.clock.advance(seconds=1)
    with transaction():
        tokens.void(request_id=request_id, now=later)
    assert found(world, login).voided_at == later
    assert found(world, confirm, CONFIRM).voided_at is None
    with transaction():
        tokens.void(request_id=request_id, now=world.clock.advance(seconds=1))
    assert found(world, login).voided_at == later


@pytest.mark.parametrize("key", ["", "x", "x.y", "a" * 500, "\N{SNOWMAN}"])
def test_s06_what_is_no_key_finds_nothing(world: World, key: str) -> None:
    """Always the same sentence."""
    with pytest.raises(NotFound) as caught:
        found(world, key)
    assert caught.value.message == NO_LINK


def test_s06_a_key_finds_its_ticket_under_its_own_purpose_only(world: World, request_id: int) -> None:
    """A login key is no confirm key, a secret that was never issued finds nothing, nor a row that changed sides."""
    key = issue(world, request_id)
    secret = world.runtime.keys.serializer("ticket.login").loads(key)
    strangers = [
        (key, CONFIRM),
        (str(world.runtime.keys.serializer("ticket.login").dumps("never issued")), LOGIN),
        (str(world.runtime.keys.serializer("ticket.confirm").dumps(secret)), CONFIRM),
    ]
    for stranger, purpose in strangers:
        with pytest.raises(NotFound) as caught:
            found(world, stranger, purpose)
        assert caught.value.message == NO_LINK
    with transaction():
        tokens.void(request_id=request_id, now=world.clock.now(), purpose=CONFIRM)
        found_again(world, key).purpose = CONFIRM
    with pytest.raises(NotFound):
        found(world, key)


def test_s06_a_key_is_of_its_own_ticket_alone(world: World, request_id: int) -> None:
    """A newer one's, the other purpose's and a replaced one's are not."""
    former = issue(world, request_id)
    key, confirm = issue(world, request_id), issue(world, request_id, CONFIRM)
    runtime = world.runtime
    tickets = [found(world, former).id, found(world, key).id, found(world, confirm, CONFIRM).id]
    own = [tokens.is_key_of(db.session.get_one(Ticket, one), key, runtime=runtime) for one in tickets[:2]]
    assert own == [False, True]
    assert tokens.is_key_of(db.session.get_one(Ticket, tickets[2]), confirm, runtime=runtime)


def test_p4_a_ticket_lives_up_to_its_expiry_and_not_at_it(world: World, request_id: int) -> None:
    """By every function that asks."""
    ticket = found(world, issue(world, request_id))
    end = ticket.expires_at
    live = {"request_id": request_id}
    with transaction():
        tokens.void(request_id=request_id, now=world.clock.now(), purpose=CONFIRM)
    assert tokens.live_until(now=end - SECOND, **live) == end
    assert tokens.live_until(now=end, **live) is None
    tokens.refuse_spent(ticket, now=end - SECOND)
    for now in (end, end + SECOND):
        with pytest.raises(Gone) as caught:
            tokens.refuse_spent(ticket, now=now)
        assert caught.value.message == SPENT
    with transaction(), pytest.raises(Gone) as caught:
        tokens.use(found_again(world, issue_inside(world, request_id)), now=world.clock.now() + 300 * SECOND)
    assert caught.value.message == SPENT


def issue_inside(world: World, request_id: int) -> str:
    now = world.clock.now()
    return tokens.issue(
        request_id=request_id, purpose=LOGIN, now=now, expires_at=now + 300 * SECOND, runtime=world.runtime
    )


def test_s04_a_used_or_voided_ticket_is_neither_live_nor_usable(world: World, request_id: int) -> None:
    """Its code is gone with it; another ticket of the same request stays as it is."""
    now = world.clock.now()
    confirm = db.session.scalars(select(Ticket).where(Ticket.purpose == CONFIRM)).one().id
    key = issue(world, request_id)
    put_code(world, key, "v" * 43)
    with transaction():
        tokens.use(found_again(world, key), now=now)
    ticket = found(world, key)
    assert (ticket.used_at, ticket.code_digest, ticket.code_challenge, ticket.code_expires_at) == (
        now,
        None,
        None,
        None,
    )
    assert db.session.get_one(Ticket, confirm).used_at is None
    with pytest.raises(Gone):
        tokens.refuse_spent(ticket, now=now)
    with transaction(), pytest.raises(Gone):
        tokens.use(found_again(world, key), now=now)
    with transaction():
        tokens.void(request_id=request_id, now=now, purpose=CONFIRM)
    assert tokens.live_until(request_id=request_id, now=now) is None
    voided = issue(world, request_id)
    with transaction():
        tokens.void(request_id=request_id, now=now)
    with pytest.raises(Gone):
        tokens.refuse_spent(found(world, voided), now=now)
    with transaction(), pytest.raises(Gone) as caught:
        tokens.use(found_again(world, voided), now=now)
    assert caught.value.message == SPENT
    assert tokens.live_until(request_id=request_id, now=now) is None
