"""Digests, sealed values and signatures from the secret keys (S01, S06, S15)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import BadSignature

from tempadmin.keys import Keys, Unsealable, new_secret

OLD, NEW = "o" * 32, "n" * 32
KEYS = Keys([OLD])
ROTATED = Keys([NEW, OLD])
WITHOUT_OLD = Keys([NEW])


def test_s01_secrets_are_256_bits_and_never_repeat() -> None:
    """Forty-three URL-safe signs each, all different."""
    secrets = {new_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    assert {len(secret) for secret in secrets} == {43}


@given(st.text(), st.text())
def test_s01_a_digest_is_keyed(purpose: str, secret: str) -> None:
    """The same secret has another digest under another key, and 64 hexadecimal signs always."""
    digest = KEYS.digest(purpose, secret)
    assert digest == KEYS.digest(purpose, secret)
    assert len(digest) == len(bytes.fromhex(digest)) * 2 == 64
    assert digest != WITHOUT_OLD.digest(purpose, secret)


@given(st.text(max_size=20), st.text(max_size=20), st.binary(), st.text(max_size=20))
def test_s06_what_is_sealed_opens_for_its_purpose_and_owner_alone(
    purpose: str, other: str, value: bytes, owner: str
) -> None:
    """Another purpose or another owner finds noise."""
    sealed = KEYS.seal(purpose, value, owner=owner)
    assert KEYS.unseal(purpose, sealed, owner=owner) == value
    if other != purpose:
        with pytest.raises(Unsealable):
            KEYS.unseal(other, sealed, owner=owner)
        assert KEYS.digest(purpose, "x") != KEYS.digest(other, "x")
    if other != owner:
        with pytest.raises(Unsealable):
            KEYS.unseal(purpose, sealed, owner=other)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_bit_is_noticed(place: int, change: int) -> None:
    """Nothing of a sealed value can be altered."""
    from base64 import urlsafe_b64decode, urlsafe_b64encode

    raw = bytearray(urlsafe_b64decode(KEYS.seal("p", b"value", owner="o")))
    raw[place % len(raw)] ^= change
    with pytest.raises(Unsealable):
        KEYS.unseal("p", urlsafe_b64encode(bytes(raw)).decode(), owner="o")


@given(st.text())
def test_whatever_is_not_sealed_is_refused_in_one_way(text: str) -> None:
    """Garbage raises Unsealable and nothing else."""
    with pytest.raises(Unsealable):
        KEYS.unseal("p", text, owner="o")


def test_the_same_value_seals_differently_each_time() -> None:
    """Nobody sees that two people have the same seed."""
    assert KEYS.seal("p", b"v", owner="o") != KEYS.seal("p", b"v", owner="o")


def test_all_keys_verify_and_the_first_makes() -> None:
    """What the old key made is found, opened and verified while it is there; new things are the new key's."""
    sealed, mac = KEYS.seal("p", b"v", owner="o"), KEYS.mac("p", b"m")[0]
    signed = KEYS.serializer("s").dumps("x")
    assert ROTATED.unseal("p", sealed, owner="o") == b"v"
    assert ROTATED.mac_is_right("p", b"m", mac)
    assert ROTATED.serializer("s").loads(signed) == "x"
    assert KEYS.digest("p", "x") in ROTATED.digests("p", "x")
    assert ROTATED.digest("p", "x") == WITHOUT_OLD.digest("p", "x")
    assert WITHOUT_OLD.unseal("p", ROTATED.seal("p", b"v", owner="o"), owner="o") == b"v"
    assert WITHOUT_OLD.serializer("s").loads(ROTATED.serializer("s").dumps("x")) == "x"


def test_a_key_that_was_taken_away_opens_nothing() -> None:
    """Its values are refused; the message says what to do."""
    with pytest.raises(Unsealable, match="put the key that was removed back"):
        WITHOUT_OLD.unseal("p", KEYS.seal("p", b"v", owner="o"), owner="o")
    with pytest.raises(BadSignature):
        WITHOUT_OLD.serializer("s").loads(KEYS.serializer("s").dumps("x"))
    assert not WITHOUT_OLD.mac_is_right("p", b"m", KEYS.mac("p", b"m")[0])


def test_s06_a_signature_of_another_purpose_is_none() -> None:
    """Salts keep links apart; neither a digest nor a sealed value passes for one."""
    with pytest.raises(BadSignature):
        KEYS.serializer("ticket.login").loads(KEYS.serializer("ticket.confirm").dumps("x"))
    for text in (KEYS.digest("ticket.login", "x"), KEYS.seal("ticket.login", b"x", owner=""), "x", "", ".", "a.b.c"):
        with pytest.raises(BadSignature):
            KEYS.serializer("ticket.login").loads(text)


def test_there_are_no_keys_without_keys() -> None:
    """An empty list is refused at once, not at the first digest."""
    with pytest.raises(ValueError, match="at least one"):
        Keys([])
