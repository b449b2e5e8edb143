"""Back-channel logout: the product is told first, once, and never keeps an account from being deleted (P11)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from tempadmin.accounts.models import User
from tempadmin.db import db
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tests.provider.listener import Listener, listening
from tests.provider.product import Product, connected
from tests.tickets.evidence import assert_gone, events
from tests.world import World
from tickets.end import end_access
from tickets.expire import expire_due, retry_due
from tickets.provider.models import OidcLogin
from tickets.states import EndReason, State

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def there() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


def end(*products: Product) -> None:
    for product in products:
        scene, runtime = product.scene, product.world.runtime
        end_access(request_id=scene.request_id, reason=EndReason.ENDED_BY_CUSTOMER, actor=scene.actor, runtime=runtime)


def go_on(world: World, **amount: float) -> None:
    world.clock.advance(**(amount or {"minutes": 2}))
    retry_due(world.runtime)
    db.session.rollback()


def test_a_product_is_told_of_the_end_in_a_signed_token(world: World, there: Listener) -> None:
    """Type, event, issuer, audience, session and person as Back-Channel Logout 2.4 wants them, and no nonce."""
    product = connected(world, backchannel_logout_uri=there.uri)
    product.tokens()
    product.tokens()
    now, account = int(world.clock.now().timestamp()), product.request.account_name
    end(product)
    assert_gone(world, product.scene.request_id, "ended_by_customer")
    (posted,) = there.posted
    assert set(posted) == {"logout_token"}
    token = product.verified(posted["logout_token"])
    assert (token.header["typ"], token.header["alg"]) == ("logout+jwt", "RS256")
    jti = token.claims.pop("jti")
    assert len(jti) >= 43
    assert token.claims == {
        "iss": product.issuer, "aud": product.client_id, "iat": now, "exp": now + 120, "events": {EVENT: {}},
        "sub": account, "sid": product.scene.public_id,
    }  # fmt: skip
    assert events(product.scene.request_id).count("access.product_told") == 1


def test_p11_a_product_that_does_not_answer_keeps_the_request_and_not_the_account(
    world: World, there: Listener
) -> None:
    """The account goes at once; the request stands as ending until the product knows, and it is told once."""
    product = connected(world, backchannel_logout_uri=there.uri)
    product.tokens()
    there.status = 503
    end(product)
    request = product.request
    assert (request.state, request.removal_failures) == (State.ENDING, 1)
    assert request.last_error is not None
    assert request.last_error.startswith("the product was not told of the end: POST http://127.0.0.1")
    assert "503" in request.last_error
    token = there.posted[0]["logout_token"]
    assert all(part not in request.last_error for part in token.split("."))
    assert db.session.scalars(select(User).where(User.access_request_id == request.id)).all() == []
    for _ in range(2):
        go_on(world)
    assert product.request.removal_failures == 3
    there.status = 204
    go_on(world, hours=1)
    assert_gone(world, product.scene.request_id, "ended_by_customer")
    assert len(there.posted) == 4
    assert len({one["logout_token"] for one in there.posted}) == 4
    assert all(line.finding.level is Level.OK for line in examine_promises())


def test_a_product_that_knows_is_not_told_again(world: World, there: Listener) -> None:
    """However often the removal is tried after that; and one that let nobody in is not told at all."""
    product, unused = (connected(world, backchannel_logout_uri=there.uri) for _ in range(2))
    product.tokens()
    unused.code()
    end(product, unused)
    assert len(there.posted) == 1
    db.session.rollback()
    told = {row.request_id: row.told_at for row in db.session.scalars(select(OidcLogin))}
    assert told == {product.scene.request_id: world.clock.now(), unused.scene.request_id: None}
    silent = connected(world)
    silent.tokens()
    end(silent)
    assert_gone(world, silent.scene.request_id, "ended_by_customer")
    assert len(there.posted) == 1


def test_one_products_bad_day_is_nobody_elses(world: World, there: Listener) -> None:
    """Accesses that end together: those whose product answers are over, the other waits."""
    down = connected(world, backchannel_logout_uri="http://127.0.0.1:9/logout")
    up = connected(world, backchannel_logout_uri=there.uri)
    for product in (down, up):
        product.tokens()
    world.clock.advance(hours=1)
    expire_due(world.runtime)
    go_on(world)
    assert_gone(world, up.scene.request_id, "time_limit")
    assert down.request.state == State.ENDING
    assert "was not told" in (down.request.last_error or "")
