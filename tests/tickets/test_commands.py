"""`tempadmin access` and `tempadmin cleanup`, on the machine's own clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from tempadmin.accounts.models import TEMPORARY, User
from tempadmin.cli import build as build_cli
from tempadmin.clock import SystemClock
from tempadmin.db import db
from tests.world import KEYS, World
from tickets.models import AccessRequest
from tickets.states import State

Command = Callable[..., Result]


@pytest.fixture
def inside(world: World) -> AccessRequest:
    """An access that began three days ago, and that nobody ended."""
    world.clock.time = SystemClock().now()
    world.clock.advance(days=-3)
    world.omniadmin()
    world.omniadmin("jon@operator.example", "Jon Reyes")
    world.instance("acme", "Acme Logistics")
    return world.enter(world.signed_in())


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run a command on the world's folder."""
    monkeypatch.setenv("TEMPADMIN_BASE_URL", "http://localhost:8000")
    monkeypatch.setenv("TEMPADMIN_DATABASE_URL", world.runtime.settings.database)
    monkeypatch.setenv("TEMPADMIN_SECRET_KEYS", ",".join(KEYS))

    def run(*arguments: str) -> Result:
        db.session.rollback()
        sent = [*arguments, "--data", str(world.runtime.settings.data)]
        return CliRunner().invoke(build_cli(sent), sent)

    yield run
    db.session.remove()


def accounts() -> list[str | None]:
    db.session.rollback()
    return list(db.session.scalars(select(User.screen_name).where(User.kind == TEMPORARY)))


def test_the_dry_run_says_what_it_would_remove_and_why_and_removes_nothing(
    world: World, inside: AccessRequest, command: Command
) -> None:
    """Account, since when, and the reason; then the real run removes exactly that."""
    name, request_id = inside.account_name, inside.id
    dry = command("cleanup", "--dry-run")
    assert dry.exit_code == 0
    assert f"{name} " in dry.stdout
    assert "is over (time limit) and was not ended" in dry.stdout
    assert [row["account"] for row in json.loads(command("cleanup", "--dry-run", "--json").stdout)] == [name]
    assert accounts() == [name]
    assert world.request(request_id).state == State.ACTIVE
    assert json.loads(command("cleanup", "--json").stdout) == {"removed": 1, "found": 1, "left_alone": []}
    assert accounts() == []
    assert "Nothing is left over." in command("cleanup", "--dry-run").stdout


@pytest.mark.parametrize("age", ["96h", "4d", "345600", "P4D"])
def test_a_leftover_younger_than_the_age_is_left_alone(inside: AccessRequest, command: Command, age: str) -> None:
    """The age is a duration: hours, days, seconds or ISO 8601."""
    assert json.loads(command("cleanup", "--min-age", age, "--json").stdout) == {
        "removed": 0,
        "found": 0,
        "left_alone": [],
    }
    assert len(accounts()) == 1


def test_nonsense_for_an_age_is_refused_in_words(inside: AccessRequest, command: Command) -> None:
    """The error says how a duration is written."""
    refused = command("cleanup", "--min-age", "soon")
    assert refused.exit_code == 2
    assert "24h" in refused.stderr
    assert len(accounts()) == 1


def test_an_access_is_listed_shown_and_ended_by_a_named_person(
    world: World, inside: AccessRequest, command: Command
) -> None:
    """Ending names an active omniadmin, who stands in the record; a second end is a clear error."""
    public_id, request_id = inside.public_id, inside.id
    assert [row["id"] for row in json.loads(command("access", "list", "--json").stdout)] == [public_id]
    shown = json.loads(command("access", "show", public_id, "--json").stdout)
    assert shown["state"] == "active"
    assert shown["events"][0]["event"] == "access.requested"
    assert command("access", "end", public_id, "--as", "nobody@operator.example").exit_code == 1
    ended = command("access", "end", public_id, "--as", "jon@operator.example")
    assert (ended.exit_code, ended.stdout.strip()) == (0, "Ended; the account is gone.")
    request = world.request(request_id)
    assert (request.end_reason, request.ended_by_name) == ("ended_by_omniadmin", "Jon Reyes")
    assert accounts() == []
    assert command("access", "end", public_id, "--as", "jon@operator.example").exit_code == 1
    assert "No access is open." in command("access", "list").stdout
