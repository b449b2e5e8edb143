"""An older database is noticed without a human: by the mark beside it, at each start and each heartbeat."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from instances.models import VirtualInstance
from scheduler.process import SchedulerProcess
from tempadmin.audit.models import AuditEvent
from tempadmin.backup import mark, watch
from tempadmin.db import db
from tests.backup.conftest import Back
from tests.conftest import Build
from tests.diagnosis import diagnose, healthy_world
from tests.scheduler.world import wait_for
from tests.tickets.evidence import Inside, assert_refused, go_inside, thief
from tests.world import CONSOLE, World, make_world

Take = Callable[[], Back]


def kept(world: World) -> mark.Mark | None:
    return mark.read(world.runtime.settings.data)


def beginnings() -> int:
    db.session.rollback()
    events = select(func.count()).where(AuditEvent.event == mark.RESTORED, AuditEvent.instance_id == 1)
    return db.session.scalar(events) or 0


def end_it(inside: Inside, page: str) -> None:
    inside.ada.get(page)
    inside.ada.post(page + "/end")


@pytest.fixture
def went_back(world: World, acme: VirtualInstance, take: Take) -> Inside:
    """Somebody was inside, the access ended, the mark saw it; and then the database was an older one."""
    inside = go_inside(world)
    page = f"{CONSOLE}/access/{inside.request.public_id}"
    back = take()
    end_it(inside, page)
    assert watch.look(world.runtime) is None
    back()
    return inside


def test_p3_an_older_database_begins_anew_by_itself(world: World, went_back: Inside) -> None:
    """At a start or a heartbeat, loudly; afterwards the mark is of the new time, and nothing begins anew again."""
    seen = kept(world)
    with capture_logs() as logged:
        done = watch.look(world.runtime)
    assert done is not None
    assert seen is not None
    assert (done.ended["accesses"], done.seen) == (1, seen)
    assert done.highest < seen.id
    assert [line["log_level"] for line in logged if line["event"] == "database.older_than_seen"] == ["error"]
    assert_refused(thief(world, went_back.cookie))
    assert watch.look(world.runtime) is None
    assert beginnings() == 1
    now = kept(world)
    assert now is not None
    assert now.id > seen.id


def test_p3_a_replica_that_lost_commits_and_went_on_is_noticed_too(world: World, went_back: Inside) -> None:
    """Newer events with higher ids do not hide that the one that was seen is gone."""
    seen = kept(world)
    assert seen is not None
    while (db.session.scalar(select(func.max(AuditEvent.id))) or 0) <= seen.id:
        world.instance(f"other{beginnings()}{db.session.scalar(select(func.count(VirtualInstance.id)))}")
        world.signed_in()
        db.session.rollback()
    assert watch.look(world.runtime) is not None


def test_p3_a_process_notices_that_its_own_last_commit_is_lost(world: World, acme: VirtualInstance, take: Take) -> None:
    """A fail-over within the heartbeat's five seconds: no mark was written since, and the access that ended is over."""
    inside = go_inside(world)
    page = f"{CONSOLE}/access/{inside.request.public_id}"
    watch.look(world.runtime)
    back = take()
    end_it(inside, page)
    back()
    assert watch.look(world.runtime) is not None
    assert_refused(thief(world, inside.cookie))
    assert watch.look(world.runtime) is None


def test_p14_two_machines_that_notice_begin_anew_once(world: World, went_back: Inside) -> None:
    """Each has a mark of its own, of slightly other moments; what one did, the other finds done."""
    seen, folder = kept(world), world.runtime.settings.data
    assert seen is not None
    assert watch.look(world.runtime) is not None
    world.signed_in()  # life goes on, and is not ended by the machine that looks later
    for other in (seen, mark.Mark(first=seen.first, id=seen.id + 3, hash="of an event that this machine never saw")):
        mark.write(folder, other)
        assert watch.look(world.runtime) is None
    assert beginnings() == 1


def test_p3_a_backup_of_after_a_beginning_is_noticed_like_any_other(
    world: World, went_back: Inside, take: Take
) -> None:
    """Its own beginning lies before what was lost, and excuses nothing."""
    watch.look(world.runtime)
    back = take()
    world.signed_in()
    watch.look(world.runtime)
    back()
    assert watch.look(world.runtime) is not None
    assert beginnings() == 2


def test_p10_what_is_no_older_database_is_left_alone(world: World, acme: VirtualInstance) -> None:
    """No mark yet, a mark of the present, one of another database, one that nobody can read: nobody's access ends."""
    inside, folder = go_inside(world), world.runtime.settings.data
    assert watch.look(world.runtime) is None
    assert watch.look(world.runtime) is None
    mark.write(folder, mark.Mark(first="another", id=10**6, hash="x"))
    assert watch.look(world.runtime) is None
    for nonsense in ("", "{}", "[]", '{"first": 1}', "\x00"):
        (folder / mark.FILE_NAME).write_text(nonsense)
        assert watch.look(world.runtime) is None
    assert inside.ada.get("http://acme.localhost:8000/users").status_code == 200
    assert beginnings() == 0


def test_the_mark_is_written_when_something_happened_and_not_else(world: World, acme: VirtualInstance) -> None:
    """A heartbeat every five seconds must not wear a disk out."""
    world.signed_in()
    watch.look(world.runtime)
    path = world.runtime.settings.data / mark.FILE_NAME
    before = path.stat().st_mtime_ns, path.read_text()
    watch.look(world.runtime)
    assert (path.stat().st_mtime_ns, path.read_text()) == before
    world.signed_in()
    watch.look(world.runtime)
    assert path.read_text() != before[1]
    assert sorted(json.loads(path.read_text())) == ["first", "hash", "id"]
    assert [one.name for one in path.parent.glob(mark.FILE_NAME + "*")] == [mark.FILE_NAME]


def test_a_folder_that_takes_nothing_stops_nobody(world: World, acme: VirtualInstance) -> None:
    """The mark is a precaution: without room for it the service goes on, and the log says so, once."""
    world.signed_in()
    (world.runtime.settings.data / mark.FILE_NAME).mkdir()
    with capture_logs() as logged:
        assert watch.look(world.runtime) is watch.look(world.runtime) is None
    assert [line["event"] for line in logged] == ["mark.unreadable", "mark.not_written"]


def test_p3_the_schedulers_heartbeat_looks_before_it_leads(world: World, went_back: Inside) -> None:
    """Nobody restarts anything: the process that finds the older database ends what it would revive, then leads."""
    real = make_world(world.runtime.settings.data, database_url=world.runtime.settings.database_url)
    process = SchedulerProcess(real.app, renew_every=timedelta(milliseconds=50))
    process.start()
    try:
        wait_for(lambda: beginnings() == 1)
        assert_refused(thief(world, went_back.cookie))
    finally:
        process.stop()
        with real.app.app_context():
            db.engine.dispose()


def test_the_doctor_tells_an_older_database_and_a_restored_one(
    build: Build, request: pytest.FixtureRequest, take: Take
) -> None:
    """Before the service saw to it an error that says what to run, afterwards a line that says when it began anew."""
    world = healthy_world(build, request)
    back = take()
    world.browser().get("/login")
    world.signed_in()
    watch.look(world.runtime)
    assert diagnose(world).says("restored", "ok", "never restored")
    back()
    assert diagnose(world).says("restored", "error", "older than what was seen", "tempadmin db restored")
    watch.look(world.runtime)
    assert diagnose(world).says("restored", "ok", "began anew at")
