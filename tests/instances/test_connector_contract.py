"""One contract for every connector. A new one adds a ``Directory`` to ``DIRECTORIES`` and passes all of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from instances.connectors.base import Account, ConnectorError
from instances.connectors.local import LocalConnector
from instances.connectors.registry import connector_for, connectors
from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.accounts.sessions import find, open_session
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict
from tests.instances.conftest import MakeTemporary
from tests.instances.directories import DIRECTORIES, Directory, Embedded
from tests.world import World


@pytest.fixture(params=sorted(DIRECTORIES))
def directory(
    request: pytest.FixtureRequest, world: World, birch: VirtualInstance, temporary: MakeTemporary
) -> Directory:
    return DIRECTORIES[request.param](world, birch, temporary)


def wanted() -> None:
    """The guard of a request that is still wanted."""


def unwanted() -> None:
    raise Conflict("This request was ended while its account was being made.")


def made(directory: Directory, request_id: int = 77) -> Account:
    account = directory.reserve(request_id)
    directory.connector.create(account, still_wanted=wanted)
    return account


def test_a_made_account_is_an_administrator_that_cannot_sign_in_yet(directory: Directory) -> None:
    """Inactive until the one-time link is used."""
    account = made(directory)
    assert directory.connector.exists(account)
    assert directory.is_administrator(account)
    assert not directory.can_sign_in(account)


def test_create_can_be_repeated(directory: Directory) -> None:
    """An account that carries our marker is taken as made: a lost answer costs nothing."""
    account = made(directory)
    directory.connector.create(account, still_wanted=wanted)
    assert directory.is_administrator(account)


def test_nothing_is_made_when_it_is_wanted_no_more(directory: Directory) -> None:
    """The guard's word counts at the moment of making, and its error goes through to the caller."""
    account = directory.reserve(77)
    with pytest.raises(Conflict):
        directory.connector.create(account, still_wanted=unwanted)
    assert not directory.is_administrator(account)


def test_a_stranger_of_the_same_id_is_never_taken(directory: Directory) -> None:
    """The exact name is compared: asking again will not help, and the stranger stays as it is."""
    account = made(directory)
    directory.turn_into_stranger(account)
    with pytest.raises(ConnectorError) as refused:
        directory.connector.create(account, still_wanted=wanted)
    assert refused.value.permanent


def test_a_stranger_is_never_removed(directory: Directory) -> None:
    """Nor disabled; the caller hears that it is not the one that was asked for."""
    account = made(directory)
    directory.turn_into_stranger(account)
    with pytest.raises(ConnectorError) as refused:
        directory.connector.remove(account)
    assert refused.value.permanent
    assert directory.is_administrator(account)


@pytest.mark.parametrize("field", ["name", "request_id", "instance_id"])
def test_name_marker_and_instance_must_all_be_ours(directory: Directory, field: str) -> None:
    """An account is ours by record: another request's, another instance's or a longer name is a stranger's."""
    account = made(directory)
    value = account.name[:-1] if field == "name" else 999
    other = replace(account, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(ConnectorError):
        directory.connector.create(other, still_wanted=wanted)
    with pytest.raises(ConnectorError):
        directory.connector.remove(other)
    assert directory.connector.exists(account)
    assert directory.is_administrator(account)


def test_removal_is_read_back_and_can_be_repeated(directory: Directory) -> None:
    """Gone is a success, the second time too."""
    account = made(directory)
    directory.connector.remove(account)
    assert not directory.connector.exists(account)
    directory.connector.remove(account)


def test_an_account_that_was_never_made_can_be_removed(directory: Directory) -> None:
    """The end of a request may come before its create."""
    account = directory.reserve(77)
    directory.connector.remove(account)
    assert not directory.connector.exists(account)


def test_create_after_removal_is_refused_for_good(directory: Directory) -> None:
    """A late create makes nothing anew."""
    account = made(directory)
    directory.connector.remove(account)
    with pytest.raises(ConnectorError) as refused:
        directory.connector.create(account, still_wanted=wanted)
    assert refused.value.permanent
    assert not directory.connector.exists(account)


def test_many_are_removed_at_once_and_each_has_its_answer(directory: Directory) -> None:
    """More than one batch, in any order; what is gone already is a success, a stranger is not."""
    accounts = [made(directory, request_id) for request_id in range(100, 110 + directory.batch)]
    directory.connector.remove(accounts[3])
    directory.turn_into_stranger(accounts[-5])
    outcome = directory.connector.remove_many(list(reversed(accounts)))
    failed = {user_id for user_id, error in outcome.items() if error is not None}
    assert failed == {accounts[-5].user_id}
    assert set(outcome) == {account.user_id for account in accounts}
    assert not any(directory.connector.exists(one) for one in accounts if one.user_id not in failed)


def test_p11_one_that_will_not_go_does_not_keep_the_others(directory: Directory) -> None:
    """It is reported, not called done, and the rest of its batch is gone."""
    accounts = [made(directory, request_id) for request_id in range(100, 105)]
    directory.jam(accounts[2])
    outcome = directory.connector.remove_many(accounts)
    assert [outcome[account.user_id] is None for account in accounts] == [True, True, False, True, True]
    assert [directory.connector.exists(account) for account in accounts] == [False, False, True, False, False]
    with pytest.raises(ConnectorError) as refused:
        directory.connector.remove(accounts[2])
    assert not refused.value.permanent


def test_p1_what_was_made_is_listed_as_ours_until_it_is_gone(directory: Directory) -> None:
    """Our record or our marker proves it; another instance's list is another's."""
    account = made(directory)
    (listed,) = directory.connector.listed(account.instance_id)
    assert (listed.name, listed.ours) == (account.name, True)
    assert list(directory.connector.listed(account.instance_id + 1)) == []
    directory.connector.remove(account)
    assert list(directory.connector.listed(account.instance_id)) == []


def test_p1_a_name_alone_is_listed_and_proves_nothing(directory: Directory) -> None:
    """Somebody else's account of a reserved name is seen, and is not ours; one of another name is not seen."""
    directory.add_stranger("liferay_online_1_999")
    directory.add_stranger("LIFERAY_online_of_old")
    directory.add_stranger("per")
    instance_id = directory.reserve(77).instance_id
    directory.connector.remove(directory.reserve(78))
    found = {one.name: one.ours for one in directory.connector.listed(instance_id)}
    assert {name.lower(): ours for name, ours in found.items() if "_1_9" in name or name.endswith("old")} == {
        "liferay_online_1_999": False,
        "liferay_online_of_old": False,
    }
    assert "per" not in found


def test_an_empty_list_is_no_trouble(directory: Directory) -> None:
    """Nothing to remove, nothing removed."""
    assert directory.connector.remove_many([]) == {}


def test_s20_the_embedded_removal_ends_the_accounts_sessions(
    world: World, birch: VirtualInstance, temporary: MakeTemporary
) -> None:
    """Its session's secret finds nothing any more; another account's session goes on."""
    embedded = Embedded(world, birch, temporary)
    account, other = made(embedded), made(embedded, 78)
    secrets = {}
    for one in (account, other):
        with transaction():
            secrets[one.user_id] = open_session(
                user=db.session.get_one(User, one.user_id),
                actor=Actor(id=1, name="Ada Brandt"),
                now=world.clock.now(),
                lifetime=world.runtime.settings.max_duration,
                idle=world.runtime.settings.idle_timeout,
                runtime=world.runtime,
                access_request_id=one.request_id,
            )
    embedded.connector.remove(account)
    assert find(secrets[account.user_id], instance_id=birch.id, runtime=world.runtime) is None
    alive = find(secrets[other.user_id], instance_id=birch.id, runtime=world.runtime)
    assert alive is not None
    assert alive.ended_at is None


def test_p6_the_embedded_removal_never_takes_a_regular_account(world: World, birch: VirtualInstance) -> None:
    """Whatever the record says: an account that is not temporary stays."""
    per = world.user(birch, "per@birch.example")
    account = Account(instance_id=birch.id, user_id=per.id, request_id=77, name="per", email=per.email, marker="")
    with pytest.raises(ConnectorError):
        LocalConnector().remove(account)
    assert db.session.scalar(select(User.active).where(User.id == per.id))


def test_connectors_are_found_by_name_and_each_application_has_its_own(world: World) -> None:
    """A test, or an operator's module, puts one of its own in; an unknown name is a permanent error."""
    assert isinstance(connector_for("local"), LocalConnector)
    mine = LocalConnector()
    connectors(world.app)["mine"] = mine
    assert connector_for("mine") is mine
    with pytest.raises(ConnectorError) as refused:
        connector_for("nowhere")
    assert refused.value.permanent


def test_p11_a_deletion_that_only_seems_to_happen_is_no_removal(
    world: World, birch: VirtualInstance, temporary: MakeTemporary
) -> None:
    """The database says nothing and keeps the row (a rule, a trigger, a replica): the read-back finds it."""
    account = made(Embedded(world, birch, temporary))
    swallow = ["CREATE TRIGGER keep BEFORE DELETE ON users BEGIN SELECT RAISE(IGNORE); END"]
    if db.engine.dialect.name == "postgresql":
        swallow = [
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
            "CREATE TRIGGER keep BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION keep()",
        ]
    with db.engine.begin() as connection:
        for statement in swallow:
            connection.exec_driver_sql(statement)
    with pytest.raises(ConnectorError, match="still there"):
        LocalConnector().remove(account)
