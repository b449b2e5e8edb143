"""Tickets' own rules, below the pages: what lives, what is spent, and whose code it is (S01, S04, S06, P4)."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.db import db, transaction
from tempadmin.errors import Gone, NotFound
from tests.tickets.evidence import BEA
from tests.world import World
from tickets import tokens
from tickets.models import CONFIRM, LOGIN, Ticket

SECOND = timedelta(seconds=1)
SPENT = "This link was used already, replaced by a newer one, or its time is over."
NO_LINK = "There is no such link here."


@pytest.fixture
def request_id(world: World, acme: VirtualInstance) -> int:
    """A request with a live confirm ticket."""
    return world.ask(world.signed_in(), "acme").id


def issue(world: World, request_id: int, purpose: str = LOGIN) -> str:
    now = world.clock.now()
    with transaction():
        return tokens.issue(
            request_id=request_id, purpose=purpose, now=now, expires_at=now + 300 * SECOND, runtime=world.runtime
        )


def found(world: World, key: str, purpose: str = LOGIN) -> Ticket:
    db.session.rollback()
    return tokens.find(key, purpose=purpose, runtime=world.runtime)


def put_code(world: World, key: str, verifier: str) -> str:
    with transaction():
        ticket = found_again(world, key)
        challenge = tokens.challenge_of(verifier)
        return tokens.put_code(ticket, challenge=challenge, now=world.clock.now(), runtime=world.runtime)


def found_again(world: World, key: str) -> Ticket:
    return tokens.find(key, purpose=LOGIN, runtime=world.runtime)


def fits(world: World, key: str, code: str, verifier: str) -> bool:
    return tokens.code_fits(
        found(world, key), code=code, verifier=verifier, now=world.clock.now(), runtime=world.runtime
    )


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


def test_a_code_fits_its_ticket_its_browser_and_its_minute(world: World, request_id: int) -> None:
    """Right code, right verifier, before sixty seconds are over; nothing else."""
    key, verifier = issue(world, request_id), "v" * 43
    assert not fits(world, key, "", verifier)
    former = put_code(world, key, verifier)
    code = put_code(world, key, verifier)
    ticket = found(world, key)
    assert ticket.code_digest == world.runtime.keys.digest("ticket.code", code)
    assert ticket.code_expires_at == world.clock.now() + 60 * SECOND
    assert fits(world, key, code, verifier)
    for wrong, by in ((former, verifier), ("", verifier), (code, "w" * 43), (code, ""), (former, "w" * 43)):
        assert not fits(world, key, wrong, by)
    world.clock.advance(seconds=59)
    assert fits(world, key, code, verifier)
    world.clock.advance(seconds=1)
    assert not fits(world, key, code, verifier)


@pytest.mark.parametrize("missing", ["code_challenge", "code_expires_at", "code_digest"])
def test_s36_a_code_of_which_half_is_missing_fits_nobody(world: World, request_id: int, missing: str) -> None:
    """Not even a browser without a verifier."""
    key = issue(world, request_id)
    code = put_code(world, key, "v" * 43)
    with transaction():
        setattr(found_again(world, key), missing, None)
    assert not fits(world, key, code, "v" * 43)
    assert not fits(world, key, code, "")


def test_burning_takes_the_presented_code_and_nothing_else(world: World, request_id: int) -> None:
    """The ticket stays live, and so does another ticket's code."""
    world.omniadmin(BEA)
    other = issue(world, world.ask(world.signed_in(BEA), "acme").id)
    key, verifier = issue(world, request_id), "v" * 43
    code, others = put_code(world, key, verifier), put_code(world, other, verifier)
    with transaction():
        tokens.burn_code("never issued", runtime=world.runtime)
    assert fits(world, key, code, verifier)
    with transaction():
        tokens.burn_code(code, runtime=world.runtime)
    ticket = found(world, key)
    assert (ticket.code_digest, ticket.code_challenge, ticket.code_expires_at) == (None, None, None)
    assert (ticket.used_at, ticket.voided_at) == (None, None)
    assert fits(world, other, others, verifier)


def test_a_challenge_is_the_one_of_rfc_7636() -> None:
    """Its example in appendix B, and no padding at the end."""
    assert tokens.challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == (
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )
    padded = base64.urlsafe_b64encode(hashlib.sha256(b"v").digest()).decode()
    assert tokens.challenge_of("v") + "=" == padded
