"""Connecting an instance: checked, tried, and only then stored, whole; secrets stay secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select, text

from instances import connections
from instances.connecting import connect_instance, create_connected
from instances.connection_trial import check_connection
from instances.connectors.base import ConnectorError
from instances.connectors.settings import WrongSettings
from instances.models import Connection, VirtualInstance
from instances.registry import archive_instance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict, NotFound
from tests.instances.cabinet import CABINET, GOOD, PASSWORD, TOKEN, Cabinet, CabinetSettings, put_up
from tests.instances.conftest import last_event
from tests.world import World


@pytest.fixture
def cabinet(world: World, birch: VirtualInstance) -> Cabinet:
    return put_up(world.app)


def connect(world: World, connector: str = CABINET, *, try_first: bool = True, **changes: Any) -> list[str]:
    """Connect Birch; return the steps. A change to ``None`` leaves a setting out."""
    steps: list[str] = []
    values = {**GOOD, **changes} if connector == CABINET else changes
    connect_instance(
        web_id="birch-health",
        connector=connector,
        values={name: value for name, value in values.items() if value is not None},
        actor=SERVICE,
        runtime=world.runtime,
        tell=steps.append,
        try_first=try_first,
    )
    return steps


def now_at(birch: VirtualInstance) -> tuple[str, dict[str, Any] | None]:
    """What Birch is connected to, secrets included."""
    db.session.rollback()
    name = db.session.scalars(select(VirtualInstance.connector).where(VirtualInstance.id == birch.id)).one()
    if connections.stored(birch.id) is None:
        return name, None
    settings = connections.read(birch.id, CabinetSettings)
    secrets = {"token": settings.token, "password": settings.password}
    opened = {name: None if secret is None else secret.get_secret_value() for name, secret in secrets.items()}
    return name, {**settings.model_dump(), **opened}


def test_a_connection_is_tried_and_then_stored(world: World, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """Each step is told; afterwards the connector reaches the directory by what was stored."""
    assert connect(world) == ["The drill directory answers."]
    connector, settings = now_at(birch)
    assert (connector, settings and settings["url"], settings and settings["token"]) == (CABINET, GOOD["url"], TOKEN)
    assert list(check_connection(instance_id=birch.id)) == ["The drill directory answers."]
    assert connect(world, "local") == ["The accounts are kept here; there is nothing to reach."]
    assert now_at(birch) == ("local", None)


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_stored(
    world: World, cabinet: Cabinet, birch: VirtualInstance
) -> None:
    """Missing, unknown, nonsense, out of range: each by its name, and the directory is not even asked."""
    with pytest.raises(WrongSettings) as found:
        connect(world, url="cabinet", token=None, groups=[], drawer=0, colour="red", mode="slow", verify="perhaps")
    problems = dict(found.value.problems)
    assert problems.keys() == {"url", "token", "groups", "drawer", "colour", "mode", "verify"}
    assert (problems["url"], problems["token"]) == ("is no https address", "is missing")
    assert problems["colour"] == "there is no such setting"
    with pytest.raises(WrongSettings, match="there is no such setting"):
        connect(world, "local", url="https://cabinet.example")
    with pytest.raises(WrongSettings, match="connector: there is no connector 'nonsense'"):
        connect(world, "nonsense")
    assert (cabinet.opened, now_at(birch)) == (0, ("local", None))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "https://me:hidden@cabinet.example"}, "has a password in its address"),
        ({"ca_file": "-----BEGIN RSA PRIVATE KEY-----\nhidden\n-----END RSA PRIVATE KEY-----"}, "private key"),
        ({"drawers": {"a": "ldap://me:hidden@there"}}, "has a password in its address"),
        ({"ca_file": "x" * 70_000}, "is longer than 65,536 characters"),
    ],
)
@pytest.mark.only_sqlite
def test_p12_no_secret_is_taken_where_everybody_could_read_it(
    world: World, cabinet: Cabinet, wrong: dict[str, Any], said: str
) -> None:
    """A password in an address, a private key among certificates: refused by name, before anything is sent."""
    with pytest.raises(WrongSettings, match=said) as found:
        connect(world, **wrong)
    assert found.value.problems.keys() == wrong.keys()
    assert (cabinet.opened, "hidden" in str(found.value)) == (0, False)


def test_nothing_is_stored_of_what_could_not_be_used(world: World, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """The setting that is at fault is named; what was stored before is used on, and --without-trying overrules."""
    connect(world)
    before = now_at(birch)
    with pytest.raises(ConnectorError, match="401") as found:
        connect(world, token="wrong", drawer=84)
    assert (found.value.setting, now_at(birch)) == ("token", before)
    connect(world, token="wrong", drawer=84, try_first=False)
    assert now_at(birch)[1] == {**(before[1] or {}), "token": "wrong", "drawer": 84}


def test_p12_a_secret_that_comes_back_is_masked(world: World, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """What a directory answers may repeat what it was sent; and a library's own words are not repeated at all."""
    with pytest.raises(ConnectorError) as found:
        connect(world, token="s3cret, and more")
    assert str(found.value) == "GET https://cabinet.example/Me: answered 401, “bad token ***”"
    with pytest.raises(ConnectorError, match=r"^the connector cabinet failed: RuntimeError$"):
        connect(world, url="https://nowhere.example")


def test_a_secret_that_is_not_given_stays(world: World, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """An absent one is kept with its date, an empty one is forgotten, a new one counts from now."""
    connect(world, password=PASSWORD)
    first = world.clock.now()
    world.clock.advance(days=3)
    connect(world, token=None, drawer=84)
    stored, (_, settings) = connections.stored(birch.id), now_at(birch)
    assert stored is not None
    assert settings is not None
    assert (settings["token"], settings["password"], settings["drawer"]) == (TOKEN, PASSWORD, 84)
    assert stored.set_at == {"token": first, "password": first}
    assert json.loads(last_event(birch.id).details).get("changed_secrets") is None
    connect(world, password="")
    stored, (_, settings) = connections.stored(birch.id), now_at(birch)
    assert stored is not None
    assert settings is not None
    assert (settings["password"], stored.set_at) == (None, {"token": world.clock.now()})


def test_p12_a_kept_secret_is_sent_to_no_other_place(world: World, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """Whoever may change an address must not learn by it what was given for another one."""
    connect(world)
    for elsewhere in ({"url": "https://elsewhere.example"}, {"key_url": "https://elsewhere.example"}):
        with pytest.raises(WrongSettings, match="token: is missing; it was given for another directory"):
            connect(world, CABINET, try_first=True, token=None, **elsewhere)
    assert cabinet.opened == 1
    connect(world, url="https://elsewhere.example")
    assert cabinet.opened == 2


def test_p12_secrets_are_stored_sealed_and_recorded_by_name(
    world: World, cabinet: Cabinet, birch: VirtualInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    """No column of the database, no event and no log line has one; plain values are on record."""
    connect(world, password=PASSWORD)
    with pytest.raises(ConnectorError):
        connect(world, url="https://nowhere.example")
    db.session.rollback()
    row = db.session.get_one(Connection, birch.id)
    events = [str(one) for one in db.session.execute(text("SELECT event, details FROM audit_events"))]
    said = "".join([row.settings, row.sealed_secrets, *events, *capfd.readouterr()])
    assert [secret for secret in (TOKEN, PASSWORD, json.dumps(PASSWORD)[1:-1]) if secret in said] == []
    details = json.loads(last_event(birch.id).details)
    assert details["changed_secrets"] == "password, token"
    assert "url: https://cabinet.example" in details["settings"]


def test_strange_letters_are_stored_as_they_are(world: World, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """Neither database's text takes all of them, and a setting is no reason to fall over."""
    strange = "a\0b \u2028 \U0001f5dd '\"\\ %s {x}"
    connect(world, groups=[strange], ca_file=strange, password=strange)
    _, settings = now_at(birch)
    assert settings is not None
    assert (settings["groups"], settings["ca_file"], settings["password"]) == ([strange], strange, strange)


def test_s15_secrets_of_another_instance_do_not_open(world: World, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """Moved to another row they are noise; and what no key opens is given anew, not guessed."""
    connect(world)
    other = world.instance("cedar", "Cedar", connector=CABINET)
    with transaction() as session:
        session.execute(
            text(
                "INSERT INTO connections (instance_id, settings, sealed_secrets, changed_at) "
                "SELECT :other, settings, sealed_secrets, changed_at FROM connections"
            ),
            {"other": other.id},
        )
    with pytest.raises(ConnectorError, match="connection cannot be read"):
        connections.read(other.id, CabinetSettings)
    values = {"url": GOOD["url"], "groups": ["admins"]}
    facts: dict[str, Any] = {"connector": CABINET, "actor": SERVICE, "runtime": world.runtime, "tell": print}
    with pytest.raises(WrongSettings, match="token: is missing"):
        connect_instance(web_id="cedar", values=values, **facts)
    connect_instance(web_id="cedar", values={**values, "token": TOKEN}, **facts)
    assert connections.read(other.id, CabinetSettings).token.get_secret_value() == TOKEN


def test_an_instance_is_created_connected_or_not_at_all(world: World, cabinet: Cabinet) -> None:
    """Both in one transaction: a wrong token leaves no instance, a right one a connected one."""
    facts: dict[str, Any] = {"web_id": "elm", "name": "Elm", "host": "elm.example.net", "connector": CABINET}
    facts |= {"actor": SERVICE, "runtime": world.runtime, "tell": print}
    with pytest.raises(ConnectorError):
        create_connected(values={**GOOD, "token": "wrong"}, **facts)
    here = select(VirtualInstance).where(VirtualInstance.web_id == "elm")
    assert db.session.scalars(here).one_or_none() is None
    create_connected(values=GOOD, **facts)
    assert list(check_connection(instance_id=db.session.scalars(here).one().id)) == ["The drill directory answers."]
    with pytest.raises(Conflict, match="taken"):
        create_connected(values=GOOD, **facts)


@pytest.mark.only_sqlite
def test_only_customers_instances_are_connected(world: World, cabinet: Cabinet, birch: VirtualInstance) -> None:
    """Not the default one, none that was archived, none that there is not."""
    archive_instance(web_id="birch-health", actor=SERVICE, runtime=world.runtime)
    facts: dict[str, Any] = {"connector": CABINET, "values": GOOD, "actor": SERVICE, "runtime": world.runtime}
    for web_id, refusal in (("birch-health", NotFound), ("oak", NotFound), ("operator", Conflict)):
        with pytest.raises(refusal):
            connect_instance(web_id=web_id, tell=print, **facts)
    assert cabinet.opened == 0
