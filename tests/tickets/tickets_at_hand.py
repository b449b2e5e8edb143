"""Tickets made and found by their own functions, without any page."""

from __future__ import annotations

from datetime import timedelta

from tempadmin.db import db, transaction
from tests.world import World
from tickets import codes, tokens
from tickets.models import LOGIN, Ticket

SECOND = timedelta(seconds=1)


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
        challenge = codes.challenge_of(verifier)
        return tokens.put_code(ticket, challenge=challenge, now=world.clock.now(), runtime=world.runtime)


def found_again(world: World, key: str) -> Ticket:
    return tokens.find(key, purpose=LOGIN, runtime=world.runtime)


def fits(world: World, key: str, code: str, verifier: str) -> bool:
    return tokens.code_fits(
        found(world, key), code=code, verifier=verifier, now=world.clock.now(), runtime=world.runtime
    )
