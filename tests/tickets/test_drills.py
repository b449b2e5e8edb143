"""Every fault of a directory is met: in the end nothing is left, and until then it is said (P1, P11)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from instances.connectors.drill import DRILL, DrillConnector, Fault, set_fault
from instances.connectors.registry import connectors
from instances.models import DrillAccount, VirtualInstance
from tempadmin.accounts.models import TEMPORARY, User
from tempadmin.audit.log import Actor
from tempadmin.cli import build as build_command
from tempadmin.db import db, transaction
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tests.tickets.evidence import events, faults
from tests.tickets.scenes import bring, new_scene
from tests.world import CONSOLE, KEYS, World
from tickets.drill import Phase, Walked, phases_of, walk
from tickets.drill_live import STICKING
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.states import State

Command = Callable[..., Result]
WALKS = [(fault, phase) for fault in Fault for phase in phases_of(fault)]
SHORTLY = timedelta(seconds=30)


@pytest.fixture
def command(world: World) -> Command:
    """Run the command line on this world's database."""
    world.omniadmin()
    world.user(world.default_instance(), "plain@operator.example")
    settings = world.runtime.settings
    known = {"TEMPADMIN_BASE_URL": CONSOLE, "TEMPADMIN_SECRET_KEYS": KEYS[0]}
    if settings.database_url:
        known["TEMPADMIN_DATABASE_URL"] = settings.database_url

    def run(*words: str) -> Result:
        db.session.remove()
        arguments = [*words, "--data", str(settings.data)]
        return CliRunner(env=known).invoke(build_command(arguments), arguments)

    return run


def walked(world: World, fault: Fault, phase: Phase) -> Walked:
    def advance(by: timedelta) -> None:
        world.clock.time += by

    connectors(world.app)[DRILL] = DrillConnector(wait=lambda seconds: advance(timedelta(seconds=seconds)))
    ada = world.omniadmin()
    requester = Actor(id=ada.id, name=ada.full_name)
    return walk(fault, phase, web_id="faraway", requester=requester, runtime=world.runtime, advance=advance)


@pytest.mark.parametrize(("fault", "phase"), WALKS, ids=str)
def test_p1_p11_no_fault_of_a_directory_leaves_anything_behind(world: World, fault: Fault, phase: Phase) -> None:
    """Tried until it is done, under Needs attention where that takes long, never called done before; all is whole."""
    told = walked(world, fault, phase)
    assert told.left == ()
    db.session.rollback()
    there = DrillAccount.gone_at.is_(None) | (DrillAccount.gone_at > world.clock.now())
    assert db.session.scalar(select(func.count()).select_from(DrillAccount).where(there)) == 0
    assert db.session.scalar(select(func.count()).where(User.kind == TEMPORARY)) == 0
    assert [line.finding.message for line in examine_promises() if line.finding.level is not Level.OK] == []
    request = world.newest_request()
    assert request.state == State.ENDED
    assert events(request.id)[-1] == "access.ended"
    assert faults(world) == []
    if phase is Phase.REMOVING and fault in STICKING:
        assert told.failures >= 3
        assert told.attention_after is not None
        assert told.attention_after < timedelta(minutes=2)
        assert told.gone_after >= timedelta(minutes=20)
    elif phase is Phase.REMOVING:
        assert (told.failures, told.attention_after) == (1, None)
        assert told.gone_after < SHORTLY


@pytest.mark.parametrize("fault", [Fault.TIMES_OUT, Fault.DOES_IT_AND_ERRS, Fault.TWICE])
def test_p1_an_account_that_was_made_in_spite_of_the_answer_is_found_and_used(world: World, fault: Fault) -> None:
    """Looked up before it is made again, and one of two goes at once."""
    assert walked(world, fault, Phase.MAKING).made


@pytest.mark.parametrize("fault", [Fault.REFUSES, Fault.DOES_NOTHING, Fault.OTHER_ID, Fault.DIES_HALF_WAY])
def test_p1_an_account_that_cannot_be_made_ends_its_request(world: World, fault: Fault) -> None:
    """Three tries, then it is over, and the reason is said."""
    assert not walked(world, fault, Phase.MAKING).made
    request = world.newest_request()
    assert request.end_reason == "provisioning_failed"
    assert events(request.id).count("access.provisioning_failed") == 3


def test_a_directory_elsewhere_is_never_called_inside_a_transaction(world: World) -> None:
    """Design 2: the drill directory refuses to take part in one, so every walk proves it of all paths."""
    with pytest.raises(RuntimeError, match="inside a transaction"), transaction():
        list(DrillConnector().listed(1))


def test_p11_drill_run_prints_a_line_for_each_walk_and_touches_no_installation(tmp_path: Path) -> None:
    """In a folder of its own, whatever the environment says of a real one: hours pass in seconds; exit code 0."""
    arguments = ["drill", "run", "does-nothing", "twice"]
    real = {"TEMPADMIN_DATA": str(tmp_path), "TEMPADMIN_DATABASE_URL": f"sqlite:///{tmp_path / 'real.db'}"}
    real |= {"TEMPADMIN_REQUIRE_OMNIADMIN": "true"}
    result = CliRunner(env=real).invoke(build_command(arguments), arguments)
    assert list(tmp_path.iterdir()) == []
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["does-nothing", "while", "making"],
        ["does-nothing", "while", "removing"],
        ["twice", "while", "making"],
    ]
    assert "needed attention after" in lines[1]
    assert lines[3] == "Nothing was left behind."


def test_p11_a_drill_on_the_real_installation_sticks_until_it_is_stopped(world: World, command: Command) -> None:
    """The account is there and cannot be removed; stop heals the directory, and it goes at once."""
    started = command("drill", "start", "does-nothing", "--as", "ada@operator.example")
    assert started.exit_code == 0, started.output
    request = world.newest_request()
    assert (request.state, request.removal_failures, request.connector) == (State.ENDING, 1, DRILL)
    assert request.public_id in started.stdout
    status = command("drill", "status")
    assert status.exit_code == 1
    assert "does-nothing until" in status.stdout
    assert f"In it: {request.account_name}" in status.stdout
    again = command("drill", "start", "refuses", "--as", "ada@operator.example")
    assert (again.exit_code, "goes on already" in again.stderr) == (1, True)
    stopped = command("drill", "stop")
    assert (stopped.exit_code, stopped.stdout) == (0, "Healed; nothing is left.\n")
    assert world.request(request.id).state == State.ENDED
    assert command("drill", "status").exit_code == 0
    assert json.loads(command("doctor", "--invariants", "--json").stdout)
    assert command("doctor", "--invariants").exit_code == 0
    ended_by = db.session.scalars(select(AccessRequest.ended_by_name)).one()
    assert ended_by == "Ada Brandt"


@pytest.mark.parametrize("person", ["plain@operator.example", "nobody@operator.example"])
def test_p8_only_an_omniadmin_holds_a_drill(world: World, command: Command, person: str) -> None:
    """Nothing is made for anybody else, not even the drill's instance."""
    assert command("drill", "start", "refuses", "--as", person).exit_code == 1
    db.session.rollback()
    assert db.session.scalars(select(VirtualInstance.web_id).where(VirtualInstance.web_id == "drill")).all() == []


def test_a_drill_never_takes_a_customers_instance(world: World, command: Command) -> None:
    """One that happens to be called drill keeps its directory."""
    world.instance("drill")
    refused = command("drill", "start", "refuses", "--as", "ada@operator.example")
    assert (refused.exit_code, "no drill directory" in refused.stderr) == (1, True)
    db.session.rollback()
    assert (
        db.session.scalars(select(VirtualInstance.connector).where(VirtualInstance.web_id == "drill")).one() == "local"
    )
    assert command("drill", "stop").exit_code == 1


@pytest.mark.parametrize(("fault", "left"), [(Fault.TWICE, 1), (Fault.OTHER_ID, 0)])
def test_p1_what_is_made_beside_the_account_goes_at_once(world: World, fault: Fault, left: int) -> None:
    """Not only at the end: a second administrator that nobody asked for is there for no session's length."""
    scene = new_scene(world)
    with transaction() as session:
        session.get_one(VirtualInstance, scene.instance_id).connector = DRILL
    set_fault(scene.instance_id, fault, until=world.clock.now() + timedelta(days=1))
    bring(world, scene, State.PROVISIONING)
    provision(request_id=scene.request_id, runtime=world.runtime)
    db.session.rollback()
    names = db.session.scalars(select(DrillAccount.name)).all()
    assert names == [world.request(scene.request_id).account_name] * left
