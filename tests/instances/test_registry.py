"""Instances come and go."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from instances import registry
from instances.models import VirtualInstance
from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession
from tempadmin.audit import queries as audit_queries
from tempadmin.audit.log import Actor
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict, Invalid, NotFound
from tests.conftest import Build
from tests.world import World

ACTOR = Actor(id=None, name="operator")


def create(world: World, web_id: str = "elm", name: str = "Elm Bank", host: str = "elm.example.net") -> int:
    return registry.create_instance(web_id=web_id, name=name, host=host, actor=ACTOR, runtime=world.runtime)


def events(instance_id: int) -> list[AuditEvent]:
    return list(db.session.scalars(audit_queries.events(instance_id=instance_id)))


def test_p13_a_new_instance_begins_its_own_chain(world: World) -> None:
    """The creation is the first event of the instance's own chain, and says what was made."""
    instance_id = create(world, host=" ELM.example.net ")
    (event,) = events(instance_id)
    assert (event.number, event.event, event.actor_name) == (1, "instance.created", "operator")
    assert json.loads(event.details) == {"web_id": "elm", "host": "elm.example.net"}


def test_the_default_instance_is_exactly_one(world: World) -> None:
    """A second one is refused by the use case, and by the database."""
    with pytest.raises(Conflict, match="exactly one"):
        registry.create_default(web_id="second", name="Second", actor=ACTOR, runtime=world.runtime)
    second = VirtualInstance(web_id="second", name="Second", is_default=True, created_at=world.clock.now())
    with pytest.raises(IntegrityError), transaction() as session:
        session.add(second)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("acme.example.com", "acme.example.com"),
        ("ACME.Example.COM.", "acme.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("acme.localhost", "acme.localhost"),
        ("intranet", "intranet"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
    ],
)
def test_a_host_is_stored_as_a_lower_case_a_label(world: World, typed: str, stored: str) -> None:
    """Whatever is typed, one spelling is stored (design §6)."""
    assert registry.checked_host(typed, runtime=world.runtime) == stored


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "not a host name"),
        ("acme.example.com:8000", "no port"),
        ("http://acme.example.com", "no port"),
        ("acme.example.com/path", "no port"),
        ("192.0.2.1", "IP address"),
        ("127.1", "IP address"),
        ("2130706433", "IP address"),
        ("0x7f000001", "IP address"),
        ("１２７.０.０.１", "IP address"),
        ("::1", "IP address"),
        ("[::1]", "IP address"),
        ("localhost", "console's own"),
        ("LOCALHOST.", "console's own"),
        ("ｌocalhost", "console's own"),
        ("-acme.example.com", "host name"),
        ("acme-.example.com", "host name"),
        ("ac me.example.com", "host name"),
        ("acme..example.com", "host name"),
        ("a_b.example.com", "host name"),
        ("user@acme.example.com", "host name"),
        ("acme.example.com\r\nX: y", "host name"),
        ("*.example.com", "host name"),
        ("a" * 64 + ".example.com", "host name"),
        (".".join(["a" * 60] * 5), "host name"),
        ("acme\0.example.com", "host name"),
    ],
)
def test_a_host_that_is_none_is_refused_with_a_sentence(world: World, typed: str, why: str) -> None:
    """No port, no path, no IP address in any spelling that browsers take for one, not the console's own host."""
    with pytest.raises(Invalid, match=why) as refused:
        registry.checked_host(typed, runtime=world.runtime)
    assert refused.value.field == "host"


@pytest.mark.parametrize("web_id", ["", "Acme", "a_b", "-a", "a-", "a.b", "a b", "é", "a" * 64, "a\n"])
def test_a_web_id_is_a_dns_label(world: World, web_id: str) -> None:
    """It stands in host names, addresses and commands."""
    with pytest.raises(Invalid) as refused:
        create(world, web_id=web_id)
    assert refused.value.field == "web_id"


def test_web_id_and_host_can_be_taken_once(world: World) -> None:
    """A second instance of the same web id or host is a conflict, in a sentence that names it."""
    create(world)
    with pytest.raises(Conflict, match="web id elm is taken"):
        create(world, host="other.example.net")
    with pytest.raises(Conflict, match=r"host name elm\.example\.net is taken"):
        create(world, web_id="other")
    assert len(db.session.scalars(select(VirtualInstance)).all()) == 2


def test_a_race_for_a_web_id_ends_in_a_conflict(world: World) -> None:
    """Who looked before the other wrote is stopped by the database, and told so in words."""
    create(world)
    now = world.clock.now()
    with pytest.raises(Conflict, match="a moment ago"), transaction():
        registry.add_row(web_id="elm", name="Elm", host="new.example.net", actor=ACTOR, now=now)


def test_s23_archiving_ends_every_session_of_the_instance_and_only_those(world: World) -> None:
    """From the commit on the next request of anybody there is refused; other instances go on."""
    elm, oak = world.instance("elm"), world.instance("oak")
    world.user(elm, "ann@elm.example")
    world.user(oak, "ann@oak.example")
    gone = world.signed_in("ann@elm.example", "http://elm.localhost:8000")
    stays = world.signed_in("ann@oak.example", "http://oak.localhost:8000")
    registry.archive_instance(web_id="elm", actor=ACTOR, runtime=world.runtime)
    assert gone.get("/").status_code == 404
    assert stays.get("/").status_code == 200
    ended = db.session.scalars(select(LoginSession).where(LoginSession.instance_id == elm.id)).all()
    assert {row.end_reason for row in ended} == {"instance_archived"}
    assert events(elm.id)[0].event == "instance.archived"


def test_archiving_tells_other_floors_before_it_locks_sessions(world: World) -> None:
    """Lock order (design §2): requests are locked by whoever listens, sessions after that."""
    elm = world.instance("elm")
    user = world.user(elm, "ann@elm.example")
    world.signed_in("ann@elm.example", "http://elm.localhost:8000")
    heard: list[tuple[int, list[int]]] = []

    def listen(_app: object, *, instance_id: int, **_rest: object) -> None:
        heard.append((instance_id, sessions.live_ids(user_id=user.id)))

    with registry.instance_archived.connected_to(listen, sender=world.app):
        registry.archive_instance(web_id="elm", actor=ACTOR, runtime=world.runtime)
    assert [(instance_id, len(live)) for instance_id, live in heard] == [(elm.id, 1)]
    assert sessions.live_ids(user_id=user.id) == []


def test_nothing_is_archived_when_a_listener_fails(world: World) -> None:
    """One transaction: instance, sessions and requests end together or not at all."""
    world.instance("elm")

    def fail(_app: object, **_rest: object) -> None:
        raise RuntimeError("no")

    with (
        registry.instance_archived.connected_to(fail, sender=world.app),
        pytest.raises(RuntimeError, match="no"),
    ):
        registry.archive_instance(web_id="elm", actor=ACTOR, runtime=world.runtime)
    db.session.rollback()
    row = db.session.scalars(select(VirtualInstance).where(VirtualInstance.web_id == "elm")).one()
    assert row.archived_at is None


def test_what_cannot_be_archived_says_why(world: World) -> None:
    """Unknown, the default one, and a second time."""
    world.instance("elm")
    registry.archive_instance(web_id="elm", actor=ACTOR, runtime=world.runtime)
    for web_id, error in (("elm", Conflict), ("operator", Conflict), ("nobody", NotFound)):
        with pytest.raises(error):
            registry.archive_instance(web_id=web_id, actor=ACTOR, runtime=world.runtime)


def test_the_consoles_host_is_no_customers(build: Build) -> None:
    """The base host is refused whatever its port."""
    world = build(base_url="https://console.example.com:8443")
    with pytest.raises(Invalid, match="console's own"):
        create(world, host="CONSOLE.example.com")
