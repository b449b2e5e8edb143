"""The token endpoint: a code is worth something once, to one product, with its verifier, while the access lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from tempadmin.accounts.models import LoginSession, User
from tempadmin.db import db, transaction
from tests.provider.product import PRODUCT, Product, connected, refusal
from tests.tickets.asked import change
from tests.tickets.evidence import events
from tests.world import World
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.provider.models import OidcLogin
from tickets.states import EndReason


@pytest.fixture
def product(world: World) -> Product:
    return connected(world)


def end(product: Product) -> None:
    scene = product.scene
    end_access(
        request_id=scene.request_id,
        reason=EndReason.ENDED_BY_CUSTOMER,
        actor=scene.actor,
        runtime=product.world.runtime,
    )


def test_a_code_that_comes_again_voids_what_it_got(product: Product) -> None:
    """Somebody has it who should not: both lose (RFC 6749, 4.1.2), the access goes on, and the record says so once."""
    code = product.code()
    token = product.exchange(code).json()["access_token"]
    assert product.userinfo(token).status_code == 200
    for _ in range(3):
        assert refusal(product.exchange(code)) == (400, "invalid_grant")
    assert product.userinfo(token).status_code == 401
    assert events(product.scene.request_id).count("access.code_used_twice") == 1
    assert product.userinfo(product.tokens()["access_token"]).status_code == 200


BURNING: dict[str, dict[str, str | None]] = {
    "a wrong verifier": {"code_verifier": "w" * 43},
    "no verifier": {"code_verifier": None},
    "the challenge as verifier": {"code_verifier": "challenge"},
    "another address of ours": {"redirect_uri": f"{PRODUCT}/other"},
    "no address": {"redirect_uri": None},
}


def test_a_code_that_is_shown_wrongly_is_burned(product: Product) -> None:
    """Wrong verifier, wrong address: refused, and the right ones get nothing for it any more."""
    for what, wrong in BURNING.items():
        code = product.code()
        assert (what, *refusal(product.exchange(code, basic=True, **wrong))) == (what, 400, "invalid_grant")
        assert (what, *refusal(product.exchange(code))) == (what, 400, "invalid_grant")
    db.session.rollback()
    assert set(db.session.scalars(select(OidcLogin.token_digest))) == {None}
    assert events(product.scene.request_id).count("access.code_used_twice") == 0


def test_s31_another_instances_product_gets_nothing_for_a_code(product: Product) -> None:
    """Not on its own host, not on this one; what it showed is burned."""
    other = connected(product.world)
    for http, client in ((other.http, other), (product.http, other)):
        thief = replace(client)
        thief.http = http
        thief.verifier = product.verifier
        code = product.code()
        status, error = refusal(thief.exchange(code))
        if http is product.http:
            assert (status, error) == (401, "invalid_client")
            assert product.exchange(code).status_code == 200
        else:
            assert (status, error) == (400, "invalid_grant")
            assert refusal(product.exchange(code)) == (400, "invalid_grant")
    token = product.tokens()["access_token"]
    assert other.userinfo(token).status_code == 401


def test_p4_a_code_works_until_its_minute_is_over_and_not_at_its_end(product: Product) -> None:
    """59.999 s it works; at 60 s it does not, and it is burned."""
    early, late = product.code(), product.code()
    product.world.clock.advance(seconds=59.999)
    assert product.exchange(early).status_code == 200
    product.world.clock.advance(seconds=0.001)
    assert refusal(product.exchange(late)) == (400, "invalid_grant")


def take_role(product: Product) -> None:
    change(User, product.scene.user_id, role="member")


def take_session(product: Product) -> None:
    with transaction() as session:
        row = session.scalars(select(LoginSession).where(LoginSession.access_request_id == product.request.id)).one()
        row.ended_at = product.world.clock.now()


ENDS: dict[str, Callable[[Product], object]] = {
    "ended": end,
    "time limit": lambda product: product.world.clock.advance(hours=1),
    "role taken by hand": take_role,
    "session gone": take_session,
}


@pytest.mark.parametrize("how", ENDS)
def test_p3_nothing_works_after_an_end(product: Product, how: str) -> None:
    """Neither a code that was on its way nor a token that was given."""
    token = product.tokens()["access_token"]
    code = product.code()
    ENDS[how](product)
    assert product.userinfo(token).status_code == 401
    assert refusal(product.exchange(code)) == (400, "invalid_grant")


def test_p4_a_token_outlives_no_end_that_was_told_with_it(product: Product) -> None:
    """More time for the access is told with the next login; what was given before ends when it said."""
    token = product.tokens()["access_token"]
    ends_at = product.request.ends_at
    assert ends_at is not None
    with transaction() as session:
        longer = ends_at.replace(hour=ends_at.hour + 1)
        session.get_one(AccessRequest, product.scene.request_id).ends_at = longer
        for row in session.scalars(select(LoginSession)):
            row.expires_at, row.idle_seconds = longer, 4 * 60 * 60
    product.world.clock.time = ends_at
    assert product.userinfo(token).status_code == 401
    newer = product.tokens()
    assert product.verified(newer["id_token"]).claims["exp"] == int(longer.timestamp())
    assert product.userinfo(newer["access_token"]).status_code == 200
