"""The demo world: made once, gone on with, and never made where something else lives."""

from __future__ import annotations

import json
import re
import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from instances import demo as demo_command
from instances import demo_world
from instances.demo import prepare, world_made
from instances.models import VirtualInstance
from tempadmin.accounts import factors, totp
from tempadmin.accounts.models import SecondFactor, User
from tempadmin.accounts.passwords import password_is_right
from tempadmin.app import create_app
from tempadmin.audit import queries as audit_queries
from tempadmin.cli import build
from tempadmin.db import db
from tempadmin.runtime import current_runtime
from tempadmin.settings import Settings, SettingsError
from tests.conftest import Build


@pytest.fixture(autouse=True)
def _without_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what tickets adds to a new world (tests/tickets/test_demo.py looks at that): it takes seconds."""
    monkeypatch.setenv("TEMPADMIN_MODULES", "instances,scheduler")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that would have been served."""
    asked: list[Settings] = []
    monkeypatch.setattr(demo_command, "serve", lambda settings, **_address: asked.append(settings))
    return asked


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(list(arguments)), list(arguments))


def test_a_new_world_is_complete_and_its_credentials_work(tmp_path: Path, served: list[Settings]) -> None:
    """The JSON of design §8 is the first line, and every password and secret in it opens its account."""
    port = free_port()
    result = run("demo", "--data", str(tmp_path / "world"), "--port", str(port), "--json")
    assert result.exit_code == 0, result.output
    world = json.loads(result.stdout.splitlines()[0])
    assert set(world) == {"console", "mail_dir", "omniadmins", "instances"}
    assert world["console"] == f"http://localhost:{port}"
    assert world["mail_dir"] == str(tmp_path / "world" / "mail")
    assert [set(one) for one in world["omniadmins"]] == [{"email", "password", "totp_secret"}] * 3
    assert [one["url"] for one in world["instances"]] == [
        f"http://{web_id}.localhost:{port}" for web_id in ("acme", "birch-health", "cobalt", "delta", "elm-bank")
    ]
    asks = {
        "acme": (False, False),
        "birch-health": (True, False),
        "cobalt": (False, True),
        "delta": (False, False),
        "elm-bank": (True, True),
    }
    with create_app(served[0]).app_context():
        for one in world["instances"]:
            assert (one["require_customer"], one["require_omniadmin"]) == asks[one["web_id"]]
            assert (len(one["administrators"]), len(one["members"])) == (1, 2)
            host = urlsplit(one["url"]).hostname
            row = db.session.scalars(select(VirtualInstance).where(VirtualInstance.virtual_hostname == host)).one()
            assert (row.web_id, row.name) == (one["web_id"], one["name"])
            for role in ("administrator", "member"):
                for person in one[role + "s"]:
                    user = db.session.scalars(select(User).where(User.email == person["email"])).one()
                    assert (user.instance_id, user.role) == (row.id, role)
                    assert password_is_right(user.password_hash, person["password"])
        for person in world["omniadmins"]:
            user = db.session.scalars(select(User).where(User.email == person["email"])).one()
            factor = db.session.scalars(select(SecondFactor).where(SecondFactor.user_id == user.id)).one()
            assert factors.seed_of(factor, runtime=current_runtime()) == person["totp_secret"]
        for instance_id in audit_queries.instance_ids():
            assert not list(audit_queries.verify(instance_id=instance_id, runtime=current_runtime()))
        db.session.remove()
        db.engine.dispose()


def test_the_terminal_says_all_that_a_newcomer_needs(tmp_path: Path, served: list[Settings]) -> None:
    """Addresses, e-mails, passwords, secrets with codes, mails, browsers, a private window, and how to stop."""
    result = run("demo", "--data", str(tmp_path), "--port", str(free_port()))
    world = json.loads((tmp_path / "demo.json").read_text("utf-8"))
    for person in world["omniadmins"]:
        assert person["totp_secret"] in result.stdout
    people = [*world["omniadmins"], *(p for one in world["instances"] for p in one["administrators"] + one["members"])]
    for person in people:
        assert re.search(re.escape(person["email"]) + r" +password " + re.escape(person["password"]), result.stdout)
    assert len(re.findall(r"code now [0-9]{6}\b", result.stdout)) == 3
    for name, asks in (("Acme Logistics", "asks nobody"), ("Birch Health", "asks its customer"), ("Elm Bank", "both")):
        assert re.search(f"{name} .*{asks}", result.stdout)
    for words in ("Chrome or Firefox", "hosts file", "private window", "demo codes", str(tmp_path / "mail"), "Ctrl-C"):
        assert words in result.stdout


def test_the_same_folder_goes_on_with_the_same_credentials(tmp_path: Path, served: list[Settings]) -> None:
    """On another port too, which is then remembered; what a person wrote into the settings stays."""
    first, second = free_port(), free_port()
    before = json.loads(run("demo", "--data", str(tmp_path), "--port", str(first), "--json").stdout)
    toml = tmp_path / "tempadmin.toml"
    toml.write_text(toml.read_text("utf-8") + "cleanup_enabled = true\n", "utf-8")
    again = json.loads(run("demo", "--data", str(tmp_path), "--port", str(second), "--json").stdout)
    third = json.loads(run("demo", "--data", str(tmp_path), "--json").stdout)
    assert again["omniadmins"] == before["omniadmins"]
    assert again["console"] == third["console"] == f"http://localhost:{second}"
    assert served[-1].cleanup_enabled
    with create_app(served[-1]).app_context():
        assert db.session.scalar(select(func.count()).select_from(VirtualInstance)) == 6
        db.session.remove()
        db.engine.dispose()


def test_p12_what_the_folder_keeps_is_its_owners_alone(tmp_path: Path) -> None:
    """Credentials and keys are readable by nobody else."""
    prepare(tmp_path / "world", port=8000)
    for name in ("demo.json", "tempadmin.toml"):
        assert stat.S_IMODE((tmp_path / "world" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "world").stat().st_mode) == 0o700


def test_p12_two_worlds_share_no_secret(tmp_path: Path) -> None:
    """Keys, passwords and seeds are fresh for each folder and each person."""
    worlds = [demo_world.new_world() for _ in range(2)]
    secrets = [
        secret for world in worlds for secret in re.findall(r'"(?:password|totp_secret)": "([^"]+)"', json.dumps(world))
    ]
    keys = [key for world in worlds for key in world["keys"]]
    assert len(secrets) == len(set(secrets)) == 2 * (3 * 2 + 15)
    assert len(keys) == len(set(keys)) == 2


def test_another_installations_folder_is_refused(tmp_path: Path, served: list[Settings]) -> None:
    """Settings that the demo did not write are left alone."""
    (tmp_path / "tempadmin.toml").write_text('base_url = "https://console.example.com"\n', "utf-8")
    result = run("demo", "--data", str(tmp_path), "--port", str(free_port()))
    assert result.exit_code == 2
    assert "another installation" in result.stderr
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["tempadmin.toml"]
    assert served == []


def test_another_installations_database_is_refused(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the environment names it: nothing is written into it."""
    real = build()
    real.omniadmin("olga@operator.example", "Olga")
    before = db.session.scalar(select(func.count()).select_from(User))
    monkeypatch.setenv("TEMPADMIN_DATABASE_URL", real.runtime.settings.database)
    with pytest.raises(SettingsError, match="another installation"):
        prepare(tmp_path / "world", port=8000)
    db.session.rollback()
    assert db.session.scalar(select(func.count()).select_from(User)) == before


def test_an_environment_that_moves_the_console_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed addresses would be wrong; the message says what to unset."""
    monkeypatch.setenv("TEMPADMIN_BASE_URL", "https://console.example.com")
    with pytest.raises(SettingsError, match="TEMPADMIN_BASE_URL"):
        prepare(tmp_path, port=8000)


def test_a_taken_port_is_said_before_anything_is_made(tmp_path: Path, served: list[Settings]) -> None:
    """With another one to try."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("demo", "--data", str(tmp_path / "world"), "--port", str(port))
    assert result.exit_code == 2
    assert f"port {port} is taken" in result.stderr
    assert "--port" in result.stderr
    assert not (tmp_path / "world").exists()
    assert served == []


def test_a_world_that_was_cut_short_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while people are added, the next start adds them all: one transaction or nothing."""

    def fail(*_arguments: object, **_values: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(demo_world, "add_instance", fail)
        with pytest.raises(KeyboardInterrupt):
            prepare(tmp_path, port=8000)
    settings, _world = prepare(tmp_path, port=8000)
    with create_app(settings).app_context():
        known = select(func.count()).select_from(User).where(User.made_in_request_id.is_(None))
        assert db.session.scalar(known) == 18
        db.session.remove()
        db.engine.dispose()


def test_modules_add_their_history_once(tmp_path: Path) -> None:
    """They hear of a new world, and nothing of one that goes on."""
    heard: list[str] = []

    def listen(_app: object, *, world: dict[str, list[dict[str, str]]], **_rest: object) -> None:
        heard.append(world["omniadmins"][0]["email"])

    with world_made.connected_to(listen):
        prepare(tmp_path, port=8000)
        prepare(tmp_path, port=8000)
    assert heard == ["ada@operator.example"]


def test_codes_are_printed_for_whoever_plays(tmp_path: Path) -> None:
    """The present code of each omniadmin, for people and as JSON, with --data on either side of the word."""
    prepare(tmp_path, port=8000)
    seeds = {one["email"]: one["totp_secret"] for one in json.loads((tmp_path / "demo.json").read_text())["omniadmins"]}
    for arguments in (("demo", "codes", "--data", str(tmp_path)), ("demo", "--data", str(tmp_path), "codes")):
        result = run(*arguments, "--json")
        people = json.loads(result.stdout)
        assert [one["email"] for one in people] == list(seeds)
        for one in people:
            assert totp.looks_like_code(one["code"])
            assert 1 <= one["seconds_left"] <= 30
    assert len(re.findall(r"\b[0-9]{6}\b", run("demo", "codes", "--data", str(tmp_path)).stdout)) == 3
    nowhere = run("demo", "codes", "--data", str(tmp_path / "nowhere"))
    assert nowhere.exit_code == 1
    assert "no demo world" in nowhere.stderr
