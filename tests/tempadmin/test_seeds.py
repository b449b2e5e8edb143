"""TOTP seeds are encrypted for their account, under keys that rotate (S15)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tempadmin.accounts.factors import seed_of
from tempadmin.accounts.models import SecondFactor
from tempadmin.db import db, transaction
from tempadmin.keys import Unsealable
from tests.conftest import Build
from tests.world import KEYS, PASSWORD, SEED, World

NEWER = "n" * 32


def factor_of(user_id: int) -> SecondFactor:
    db.session.rollback()
    return db.session.scalars(select(SecondFactor).where(SecondFactor.user_id == user_id)).one()


def sign_in(world: World, address: str) -> int:
    """Walk to the second factor; return the status of giving it."""
    browser = world.browser()
    browser.get("/login")
    browser.post("/login", {"email": address, "password": PASSWORD}, follow=True)
    return browser.post("/login/verify", {"code": world.next_code()}).status_code


def test_s15_a_seed_is_not_readable_in_the_database(world: World) -> None:
    """The column holds neither the seed nor the same text for the same seed."""
    ada, ben = world.omniadmin(), world.omniadmin("ben@operator.example", "Ben Ito")
    first, second = factor_of(ada.id).sealed_seed, factor_of(ben.id).sealed_seed
    assert SEED not in first + second
    assert first != second


def test_s15_a_seed_of_another_account_does_not_open(world: World) -> None:
    """Two accounts' blobs swapped in the database: both are refused, and nobody signs in."""
    ada, ben = world.omniadmin(), world.omniadmin("ben@operator.example", "Ben Ito")
    with transaction():
        first, second = factor_of_in_transaction(ada.id), factor_of_in_transaction(ben.id)
        first.sealed_seed, second.sealed_seed = second.sealed_seed, first.sealed_seed
    for user in (ada, ben):
        with pytest.raises(Unsealable):
            seed_of(factor_of(user.id), runtime=world.runtime)
    assert sign_in(world, "ada@operator.example") >= 400


def factor_of_in_transaction(user_id: int) -> SecondFactor:
    return db.session.scalars(select(SecondFactor).where(SecondFactor.user_id == user_id)).one()


def test_s15_keys_rotate(build: Build) -> None:
    """With a new key in front of the old one everybody still signs in, and new seeds are under the new key."""
    build().omniadmin()
    rotated = build(secret_keys=(NEWER, *KEYS))
    assert sign_in(rotated, "ada@operator.example") == 303
    ben = rotated.omniadmin("ben@operator.example", "Ben Ito").id
    only_new = build(secret_keys=(NEWER,))
    assert seed_of(factor_of(ben), runtime=only_new.runtime) == SEED
    assert sign_in(only_new, "ben@operator.example") == 303


def test_s15_a_session_outlives_the_rotation(build: Build) -> None:
    """Cookies that were given under the old key still work while it is there, and not after."""
    world = build()
    world.omniadmin()
    secret = world.signed_in().cookie("tempadmin_session", "localhost") or ""
    for keys, status in (((NEWER, *KEYS), 200), ((NEWER,), 302)):
        browser = build(secret_keys=keys).browser()
        browser.client.set_cookie("tempadmin_session", secret, domain="localhost")
        assert browser.get("/").status_code == status


def test_s15_a_key_that_was_taken_away_is_named(build: Build) -> None:
    """Without the old key the error says what to put back, and the page says nothing of it."""
    ada = build().omniadmin().id
    world = build(secret_keys=(NEWER,))
    with pytest.raises(Unsealable, match="put the key that was removed back at the end of secret_keys"):
        seed_of(factor_of(ada), runtime=world.runtime)
    browser = world.browser()
    browser.get("/login")
    browser.post("/login", {"email": "ada@operator.example", "password": PASSWORD}, follow=True)
    assert browser.post("/login/verify", {"code": world.next_code()}).status_code >= 400
    assert "Unsealable" not in browser.page
    assert "Traceback" not in browser.page
