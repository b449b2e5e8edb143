"""The part of every connector's contract that lets an account in: at redemption, and never after its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from instances.connectors.base import Account, ConnectorError, Entry
from instances.models import VirtualInstance
from tempadmin.errors import Conflict
from tests.instances.conftest import MakeTemporary
from tests.instances.directories import DIRECTORIES, EMBEDDED, Directory, Embedded
from tests.world import World

SECRET, OTHER = "pKx7-mV4w-Rt9z-Hc3n-Yq6d", "wN5j-Ld8s-Fb2g-Xk7v-Tr4m"


@pytest.fixture(params=sorted(set(DIRECTORIES) - {EMBEDDED}))
def directory(
    request: pytest.FixtureRequest, world: World, birch: VirtualInstance, temporary: MakeTemporary
) -> Directory:
    return DIRECTORIES[request.param](world, birch, temporary)


@pytest.fixture
def activate(world: World, directory: Directory) -> Callable[..., None]:
    """Activate an account with SECRET for an hour, unless told otherwise."""

    def call(account: Account, **changes: object) -> None:
        usual = {"secret": SECRET, "until": world.clock.now() + timedelta(hours=1), "still_wanted": wanted}
        directory.connector.activate(account, **{**usual, **changes})  # type: ignore[arg-type]

    return call


def wanted() -> None:
    """The guard of an access that goes on."""


def unwanted() -> None:
    raise Conflict("This access ended meanwhile.")


def made(directory: Directory) -> Account:
    account = directory.reserve(77)
    directory.connector.create(account, still_wanted=wanted)
    return account


def test_p1_an_account_is_enabled_by_its_activation_only(
    world: World, directory: Directory, activate: Callable[..., None]
) -> None:
    """Shut from its making to its activation, then open, with its rights, to whoever has its password."""
    account = made(directory)
    assert not directory.can_sign_in(account)
    assert not directory.lets_in(account, SECRET)
    activate(account)
    assert directory.is_administrator(account)
    assert directory.can_sign_in(account)
    assert directory.lets_in(account, SECRET)
    if directory.connector.entry is Entry.CREDENTIAL:
        assert not directory.lets_in(account, OTHER)


def test_activation_can_be_repeated_and_moves_the_end(
    world: World, directory: Directory, activate: Callable[..., None]
) -> None:
    """A lost answer costs nothing; more time asks without a password and leaves the account the one that it has."""
    account = made(directory)
    for _ in range(2):
        activate(account)
    activate(account, secret=None, until=world.clock.now() + timedelta(hours=2))
    assert directory.can_sign_in(account)
    assert directory.lets_in(account, SECRET)


def test_p1_nobody_is_let_in_when_the_access_ended_meanwhile(
    directory: Directory, activate: Callable[..., None]
) -> None:
    """The guard's word counts at the last moment, and its error goes through to the caller."""
    account = made(directory)
    with pytest.raises(Conflict):
        activate(account, still_wanted=unwanted)
    assert not directory.can_sign_in(account)
    assert not directory.lets_in(account, SECRET)


def test_p1_what_is_gone_is_not_made_again_by_an_activation(
    directory: Directory, activate: Callable[..., None]
) -> None:
    """A late activation is refused for good: an end beats it. So is that of an account which was never made."""
    account = made(directory)
    directory.connector.remove(account)
    for one in (account, replace(account, name=f"{account.name}9")):
        with pytest.raises(ConnectorError) as refused:
            activate(one)
        assert refused.value.permanent
        assert not directory.can_sign_in(one)
    assert not directory.connector.exists(account)
    assert list(directory.connector.listed(account.instance_id)) == []


def test_p12_a_stranger_is_never_activated_and_no_error_tells_the_password(
    directory: Directory, activate: Callable[..., None]
) -> None:
    """The exact name is no proof: what does not carry our marker stays shut, and asking again will not help."""
    account = made(directory)
    directory.turn_into_stranger(account)
    with pytest.raises(ConnectorError) as refused:
        activate(account)
    assert refused.value.permanent
    assert not directory.lets_in(account, SECRET)
    assert SECRET not in f"{refused.value!r}"


def test_a_shorter_or_longer_name_is_another_account(directory: Directory, activate: Callable[..., None]) -> None:
    """Directories find by prefixes, and some by nothing at all: only the exact name is let in."""
    account = made(directory)
    for name in (account.name[:-1], account.name + "0", account.name.upper()):
        with pytest.raises(ConnectorError):
            activate(replace(account, name=name))
    assert not directory.can_sign_in(account)


def test_p1_an_account_that_was_let_in_is_removed_like_any_other(
    directory: Directory, activate: Callable[..., None]
) -> None:
    """Enabled or not: read back as gone, and nobody gets in with what they were shown."""
    account = made(directory)
    activate(account)
    directory.connector.remove(account)
    assert not directory.connector.exists(account)
    assert not directory.lets_in(account, SECRET)


def test_p3_an_account_that_will_not_go_is_shut_first(directory: Directory, activate: Callable[..., None]) -> None:
    """Disabled before it is deleted: when the deletion fails, nobody gets in by it any more."""
    account = made(directory)
    activate(account)
    directory.jam(account)
    with pytest.raises(ConnectorError):
        directory.connector.remove(account)
    assert directory.connector.exists(account)
    assert not directory.can_sign_in(account)
    assert not directory.lets_in(account, SECRET)


def test_what_the_account_made_is_told_before_it_goes(directory: Directory, activate: Callable[..., None]) -> None:
    """Nothing at first and nothing of an account that is gone; what it made, where the directory can tell."""
    account = made(directory)
    assert list(directory.connector.made_by(account)) == []
    activate(account)
    expected = directory.makes_something(account, SECRET)
    told = list(directory.connector.made_by(account))
    assert any(expected in one for one in told) if expected is not None else told == []
    directory.connector.remove(account)
    assert list(directory.connector.made_by(account)) == []


def test_p12_where_to_sign_in_is_said_without_a_secret(directory: Directory) -> None:
    """From the settings alone, nothing being asked: a password is of use only with a place to give it."""
    account = directory.reserve(77)
    hint = directory.connector.sign_in_hint(account)
    assert all(label and value for label, value in hint.items())
    if hint:
        assert any(account.name in value for value in hint.values())
    if directory.connector.entry is Entry.CREDENTIAL:
        assert hint


def test_p1_the_embedded_directory_activates_nothing_by_itself(
    world: World, birch: VirtualInstance, temporary: MakeTemporary
) -> None:
    """There the redemption's own transaction lets the account in, and nothing else does."""
    embedded = Embedded(world, birch, temporary)
    account = made(embedded)
    until = world.clock.now() + timedelta(hours=1)
    embedded.connector.activate(account, secret=SECRET, until=until, still_wanted=wanted)
    assert not embedded.can_sign_in(account)
    assert list(embedded.connector.made_by(account)) == []
