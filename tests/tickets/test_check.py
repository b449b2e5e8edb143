"""`tempadmin instance check`: the whole way of an account, walked with one that is thrown away."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from instances.connecting import connect_instance
from instances.connectors import registry
from instances.connectors.base import Account
from instances.connectors.drill import DRILL, Fault, set_fault
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.audit.models import AuditEvent
from tempadmin.cli import build
from tempadmin.db import db
from tests.instances.cabinet import CABINET, GOOD, Cabinet, Drawer, put_up
from tests.tickets.asked import change
from tests.tickets.faraway import there
from tests.tickets.scenes import Scene, new_scene
from tests.world import KEYS, World
from tickets import leftovers
from tickets.check import Step, check_instance
from tickets.leftover_model import Leftover

pytestmark = pytest.mark.only_sqlite  # what it writes is a leftover, of which other tests speak on both databases


@pytest.fixture
def cabinet(world: World) -> Cabinet:
    return put_up(world.app)


@pytest.fixture
def scene(world: World, cabinet: Cabinet) -> Scene:
    """An instance whose accounts are entered by a password."""
    scene = new_scene(world)
    facts: dict[str, Any] = {"actor": SERVICE, "runtime": world.runtime, "tell": print}
    connect_instance(web_id=scene.web_id, connector=CABINET, values=GOOD, **facts)
    return scene


def walked(world: World, scene: Scene) -> list[Step]:
    db.session.rollback()
    return list(check_instance(web_id=scene.web_id, runtime=world.runtime))


def failed(steps: list[Step]) -> list[str]:
    return [step.what for step in steps if step.error is not None]


def noted() -> list[Leftover]:
    db.session.rollback()
    return list(db.session.scalars(select(Leftover)))


def test_each_step_of_the_way_is_told_and_nothing_stays(world: World, scene: Scene) -> None:
    """Made shut, let in, entered by its password, shut, removed, read back; noted first, and then called gone."""
    steps = walked(world, scene)
    called = steps[1].what.split()[1].rstrip(",")
    assert [step.what for step in steps] == [
        "The drill directory answers.",
        f"make {called}, shut: read back as one that lets nobody in",
        "let it in: read back as one that lets somebody in",
        "get in by its password: the drawer opens by ***",
        "shut it again: read back as one that lets nobody in",
        "remove it",
        "read back that it is gone",
    ]
    assert (failed(steps), there(world), noted()) == ([], [], [])
    prefix, requester, number = called.rsplit("_", 2)
    assert (prefix, requester, len(number)) == ("liferay_online", "0", 10)
    events = db.session.scalars(select(AuditEvent.event).order_by(AuditEvent.id)).all()
    assert events[-2:] == ["access.leftover_found", "access.orphan_removed"]


@pytest.mark.parametrize("fault", list(Fault))
def test_p1_whatever_fails_nothing_stays(world: World, scene: Scene, cabinet: Cabinet, fault: Fault) -> None:
    """With each fault of a directory from its second answer on: the way ends, and the removal job does the rest."""
    steps: list[Step] = []
    for step in check_instance(web_id=scene.web_id, runtime=world.runtime):
        if not steps:
            set_fault(scene.instance_id, fault, until=world.clock.now() + timedelta(hours=1))
        steps.append(step)
    assert (failed(steps) == []) == (fault is Fault.TWICE)
    for _try in range(3):
        world.clock.advance(hours=2)
        leftovers.remove_due(world.runtime)
    assert (there(world), noted()) == ([], [])


def test_p12_a_step_that_fails_names_its_setting_and_no_secret(
    world: World, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the password that was made nor the token; and the account is removed all the same."""
    monkeypatch.setattr(Drawer, "passwords", {"liferay_online": "another"})
    monkeypatch.setattr(Drawer, "enable", Drawer.__mro__[1].enable)  # type: ignore[attr-defined]
    steps = walked(world, scene)
    (wrong,) = [step for step in steps if step.error is not None]
    assert (wrong.what, wrong.setting) == ("get in by its password", "mode")
    assert wrong.error is not None
    assert wrong.error.endswith(" cannot get in by ***")
    assert [step.what for step in steps][-2:] == ["remove it", "read back that it is gone"]
    assert (there(world), noted()) == ([], [])


def test_a_password_that_still_works_is_told(world: World, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory may say that an account is shut, and let people in by its password all the same."""
    monkeypatch.setattr(Drawer, "disable", Drawer.__mro__[1].disable)  # type: ignore[attr-defined]
    (wrong,) = [step for step in walked(world, scene) if step.error is not None]
    assert (wrong.what, wrong.error) == ("shut it again", "somebody still gets in by its password")
    assert (there(world), noted()) == ([], [])


def test_what_is_not_reached_is_not_tried(world: World, scene: Scene, cabinet: Cabinet) -> None:
    """A token that is wrong ends the way at once, with what came back; nothing is noted."""
    cabinet.token = "another"
    (step,) = walked(world, scene)
    assert (step.what, step.setting) == ("reach the directory", "token")
    assert step.error == "GET https://cabinet.example/Me: answered 401, “bad token ***”"
    assert noted() == []


def test_p1_a_create_that_would_be_late_is_not_sent(
    world: World, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process slept after its note: by now the job may have looked already, and found nothing."""
    find = Drawer.find

    def slowly(self: Drawer, account: Account) -> Any:
        found = find(self, account)
        world.clock.advance(seconds=55)
        return found

    monkeypatch.setattr(Drawer, "find", slowly)
    steps = walked(world, scene)
    assert steps[1].error == "This took too long, so the account was not made."
    assert there(world) == []
    assert leftovers.remove_due(world.runtime) == 1


def test_p1_the_job_leaves_it_alone_meanwhile(world: World, scene: Scene) -> None:
    """Else it would be removed between two steps; dead, it is removed once no create can take effect any more."""
    steps = check_instance(web_id=scene.web_id, runtime=world.runtime)
    assert [next(steps).error for _ in range(3)] == [None, None, None]
    assert leftovers.remove_due(world.runtime) == 0
    steps.close()
    world.clock.advance(minutes=1)
    assert leftovers.remove_due(world.runtime) == 1
    assert (there(world), noted()) == ([], [])


def test_the_command_prints_each_step(world: World, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time, what it was, and why it failed; exit code 0 or 1, and the same as JSON."""
    monkeypatch.setitem(registry.EXTRAS, CABINET, "tests.instances.cabinet:Cabinet")
    monkeypatch.setenv("TEMPADMIN_BASE_URL", "http://localhost:8000")
    monkeypatch.setenv("TEMPADMIN_SECRET_KEYS", ",".join(KEYS))

    def command(*more: str) -> Result:
        db.session.rollback()
        sent = ["instance", "check", scene.web_id, *more, "--data", str(world.runtime.settings.data)]
        return CliRunner().invoke(build(sent), sent)

    done = command()
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].endswith(" s  The drill directory answers.")
    assert done.stdout.splitlines()[-1] == "All of it went well, and nothing is left there."
    change(VirtualInstance, scene.instance_id, connector="nonsense")
    done = command("--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["ok"], told["steps"][0]["ok"]) == (1, False, False)
    assert told["steps"][0]["error"] == "there is no connector 'nonsense'"
    done = command()
    assert done.stdout.splitlines()[0].startswith("error")
    assert done.stdout.splitlines()[-1] == "Not all of it went well."


def test_what_is_kept_here_or_has_no_password_is_checked_as_far_as_it_goes(world: World, scene: Scene) -> None:
    """The embedded directory has nothing to reach; an account without a password is entered by none."""
    change(VirtualInstance, scene.instance_id, connector="local")
    assert [step.what for step in walked(world, scene)] == ["The accounts are kept here; there is nothing to reach."]
    change(VirtualInstance, scene.instance_id, connector=DRILL)
    steps = walked(world, scene)
    assert (failed(steps), [step.what for step in steps if "password" in step.what]) == ([], [])
