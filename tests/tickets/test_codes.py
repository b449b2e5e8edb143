"""The hand-off's code, below the pages: whose it is, for how long, and what burns it (design §4.5, S36)."""

from __future__ import annotations

import base64
import hashlib

import pytest

from instances.models import VirtualInstance
from tempadmin.db import transaction
from tests.tickets.evidence import BEA
from tests.tickets.tickets_at_hand import SECOND, fits, found, found_again, issue, put_code
from tests.world import World
from tickets import codes, tokens


@pytest.fixture
def request_id(world: World, acme: VirtualInstance) -> int:
    """A request with a live confirm ticket."""
    return world.ask(world.signed_in(), "acme").id


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
    assert codes.challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == (
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )
    padded = base64.urlsafe_b64encode(hashlib.sha256(b"v").digest()).decode()
    assert codes.challenge_of("v") + "=" == padded
