"""Which instance answers where."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from instances.hosts import Hosts, instance_url
from instances.models import VirtualInstance
from instances.registry import archive_instance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tests.conftest import Build
from tests.world import World, settings_for

FORGED = (
    "unknown.localhost",
    "localhost.evil.example",
    "birch-health.localhost.evil.example",
    "evil.example",
    "birch-health",
    "birch-health.localhost.",
    "xbirch-health.localhost",
    ".birch-health.localhost",
    "birch-health.localhost@evil.example",
    "birch-health.localhost,evil.example",
    "birch-health.localhost%00",
    "birch-health.localhost/..",
    "birch_health.localhost",
    "bırch-health.localhost",
    "%",
    "_____________________",
    "*",
    "0.0.0.0",  # noqa: S104 - a header, bound to nothing
    "127.0.0.2",
    "2130706433",
    "[::1]",
    "a" * 300,
)


@pytest.mark.usefixtures("birch")
@pytest.mark.parametrize("host", FORGED)
def test_s08_a_host_that_nobody_set_gets_404(world: World, host: str) -> None:
    """Whatever the Host header says: what is not stored exactly so answers nothing."""
    for sent in (host, host + ":8000"):
        response = world.app.test_client().get("/login", headers={"Host": sent.encode().decode("latin-1")})
        assert response.status_code in (400, 404), sent
        assert b"Sign in" not in response.data
        assert b"Birch" not in response.data


@pytest.mark.usefixtures("birch")
def test_s08_forwarded_hosts_change_nothing(world: World) -> None:
    """``X-Forwarded-Host`` and its like neither choose an instance nor appear in links."""
    headers = {
        "X-Forwarded-Host": "birch-health.localhost",
        "X-Host": "birch-health.localhost",
        "Forwarded": "host=birch-health.localhost",
        "X-Original-Host": "birch-health.localhost",
    }
    page = world.app.test_client().get("/login", base_url="http://localhost:8000", headers=headers)
    assert page.status_code == 200
    assert b"birch" not in page.data.lower()
    nowhere = world.app.test_client().get("/login", base_url="http://evil.example", headers=headers)
    assert nowhere.status_code == 404


@pytest.mark.parametrize("host", ["birch-health.localhost", "BIRCH-Health.LOCALHOST", "birch-health.localhost:1"])
def test_a_customer_answers_on_its_own_host(world: World, birch: VirtualInstance, host: str) -> None:
    """Case and port do not matter; the name decides."""
    page = world.app.test_client().get("/login", headers={"Host": host})
    assert page.status_code == 200
    assert birch.name.encode() in page.data


def test_the_default_instance_answers_at_base_url_and_in_the_demo_on_loopback(world: World) -> None:
    """``localhost`` and its twin ``127.0.0.1`` lead to the console, whose links name ``base_url``."""
    for host in ("localhost", "127.0.0.1"):
        found = Hosts().by_host(host)
        assert found is not None
        assert found.is_default
        assert found.url == "http://localhost:8000"


def test_loopback_is_no_console_when_base_url_is_a_real_host(build: Build) -> None:
    """Outside the demo ``127.0.0.1`` is a host like any other that nobody set."""
    build(base_url="https://console.example.com")
    assert Hosts().by_host("127.0.0.1") is None
    assert Hosts().by_host("localhost") is None
    assert Hosts().by_host("console.example.com") is not None


def test_an_archived_instance_answers_no_more_and_is_still_known(world: World, birch: VirtualInstance) -> None:
    """The host is free of it, the record is not."""
    archive_instance(web_id=birch.web_id, actor=SERVICE, runtime=world.runtime)
    assert Hosts().by_host("birch-health.localhost") is None
    assert world.app.test_client().get("/login", base_url="http://birch-health.localhost:8000").status_code == 404
    known = Hosts().by_id(birch.id)
    assert known is not None
    assert known.archived


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://localhost:8000", "http://acme.example.com:8000"),
        ("https://console.example.com", "https://acme.example.com"),
        ("https://console.example.com:8443", "https://acme.example.com:8443"),
    ],
)
def test_s08_a_customers_address_takes_scheme_and_port_from_base_url(
    world: World, base_url: str, expected: str
) -> None:
    """Links are built from the settings and the instance's row alone."""
    settings = settings_for(world.runtime.settings.data, base_url=base_url)
    assert instance_url(VirtualInstance(virtual_hostname="acme.example.com"), settings) == expected
    assert instance_url(VirtualInstance(virtual_hostname=None, is_default=True), settings) == base_url


@pytest.mark.only_sqlite
@pytest.mark.usefixtures("world", "birch")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "birch-health.localhost", "unknown.localhost"])
def test_a_host_costs_one_indexed_query_at_most(host: str) -> None:
    """A lookup happens on every request: one query, answered by an index."""
    statements: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement != "BEGIN":
            statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", count)
    Hosts().by_host(host)
    event.remove(db.engine, "before_cursor_execute", count)
    assert len(statements) == 1
    parameters = (host,) if "?" in statements[0] else ()
    with db.engine.connect() as connection:
        plans = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statements[0]}", parameters)]
    assert all("USING" in plan and "INDEX" in plan for plan in plans), plans
