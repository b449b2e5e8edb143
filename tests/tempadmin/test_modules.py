"""On-demand access is a module that a release can leave out: then there is no trace of it (design §3)."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tempadmin.cli import build as build_command
from tempadmin.db import db
from tempadmin.jobs import jobs
from tests.conftest import Build
from tests.tempadmin.test_routes import TABLE, routes
from tests.world import CONSOLE, KEYS, World

WITHOUT = ("instances", "scheduler")
ALL = "instances,scheduler,tickets"
OF_TICKETS = {
    name
    for name in TABLE
    if name.split(" ")[1].startswith(
        ("/access", "/login/ticket", "/login/return", "/left", "/support-", "/oidc/", "/.well-known/")
    )
    or "/request-" in name
    or "/openid" in name
}


@pytest.fixture
def bare(build: Build) -> World:
    """A world without the module, with a customer and an omniadmin."""
    world = build(modules=WITHOUT)
    world.omniadmin()
    world.administrator(world.instance("acme", "Acme Logistics"), "admin@acme.example")
    return world


def test_without_the_module_there_is_no_route(bare: World) -> None:
    """Exactly the module's routes are gone."""
    assert routes(bare.app) == set(TABLE) - OF_TICKETS
    assert not [rule for rule in bare.app.url_map.iter_rules() if rule.endpoint.split(".")[0] in ("entry", "portal")]


def test_without_the_module_pages_do_not_speak_of_it(bare: World) -> None:
    """The list has no action and no column of it, the bar no entry, and its addresses answer 404."""
    ada = bare.signed_in()
    for url in ("/instances", "/", "/jobs", "/logout", "/account", "/audit"):
        assert ada.get(url).status_code == 200
        for trace in ("Request admin access", "Policy", "/access", "temporary", "removal"):
            assert trace not in ada.page, (url, trace)
    assert "Acme Logistics" in (ada.get("/instances").get_data(as_text=True))
    for url in ("/access", "/instances/acme/request-access", "/access/confirm?key=x"):
        assert ada.get(url).status_code == 404
    admin = bare.signed_in("admin@acme.example", "http://acme.localhost:8000")
    for url in ("/login/ticket?key=x", "/login/return?code=x", "/left", "/support-access"):
        assert admin.get(url).status_code == 404


def test_without_the_module_there_is_no_job(bare: World) -> None:
    """Nothing expires, removes or cleans up by itself."""
    assert set(jobs(bare.app)) == {"mail", "audit-heads", "housekeeping"}


@pytest.mark.only_sqlite
def test_without_the_module_there_is_no_command(bare: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the help nor the commands know `access`, `cleanup` or a policy; with the module they do."""
    monkeypatch.setenv("TEMPADMIN_BASE_URL", CONSOLE)
    monkeypatch.setenv("TEMPADMIN_SECRET_KEYS", KEYS[0])
    data = ["--data", str(bare.runtime.settings.data)]
    for modules, known in (("tickets,scheduler,instances", True), (",".join(WITHOUT), False), (ALL, True)):
        monkeypatch.setenv("TEMPADMIN_MODULES", modules)
        for name in ("access", "cleanup"):
            command = build_command([name, *data])
            assert (name in command.commands) == known
            assert (f"  {name} " in CliRunner().invoke(command, ["--help"]).stdout) == known
        instance = command.commands["instance"]
        assert isinstance(instance, click.Group)
        assert ("policy" in instance.commands) == known
    monkeypatch.setenv("TEMPADMIN_MODULES", ",".join(WITHOUT))
    for arguments in (["access", "list"], ["instance", "policy", "acme"]):
        assert CliRunner().invoke(build_command(data), [*arguments, *data]).exit_code == 2


def test_without_the_module_every_table_exists(bare: World) -> None:
    """The schema is the same, so a release that has the module finds its tables."""
    assert {"access_requests", "tickets"} <= set(db.metadata.tables)
    assert {"access_requests", "tickets"} <= set(db.inspect(db.engine).get_table_names())


def test_without_the_module_people_sign_in_and_out(bare: World) -> None:
    """The rest works: sign-in with a factor, the customer's users, sign-out."""
    admin = bare.signed_in("admin@acme.example", "http://acme.localhost:8000")
    assert admin.get("/users").status_code == 200
    admin.get("/logout")
    assert admin.post("/logout").status_code == 303
