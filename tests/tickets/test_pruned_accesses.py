"""S51, S54: old accesses whose record was archived: what goes along, what stays, and what people see of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from instances.models import VirtualInstance
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tempadmin.errors import Conflict
from tests.tempadmin.pruned import all_hold, archive_of, interrupted, month_ago, prune_all
from tests.tickets.evidence import ACME, events, go_inside
from tests.world import CONSOLE, World
from tickets import telling
from tickets.models import AccessRequest, Activity


def old_access(world: World) -> AccessRequest:
    """Somebody was inside, looked at three pages, and left."""
    inside = go_inside(world)
    for page in ("/users", "/settings", "/users"):
        assert inside.ada.get(ACME + page).status_code == 200
    world.clock.advance(minutes=1)
    inside.ada.get(f"{CONSOLE}/access/{inside.request.public_id}")
    inside.ada.post(f"{CONSOLE}/access/{inside.request.public_id}/end")
    found = world.request(inside.request.id)
    assert (found.state, found.activity_count) == ("ended", rows_of(found))
    return found


def rows_of(request: AccessRequest) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).where(Activity.request_id == request.id)) or 0


def broken_promises() -> list[str]:
    db.session.rollback()
    return [line.finding.message for line in examine_promises() if line.finding.level is not Level.OK]


@pytest.fixture
def pruned(world: World, acme: VirtualInstance) -> AccessRequest:
    """An access of long ago whose record went."""
    found = old_access(world)
    world.administrator(acme, "rosa@acme.example")
    world.clock.advance(days=40)
    done = prune_all(world)
    assert (done.activity, done.events > 6) == (found.activity_count, True)
    return world.request(found.id)


def test_s51_activity_goes_along_and_is_in_the_archive(world: World, pruned: AccessRequest) -> None:
    """The request itself stays, with how many requests were made in it."""
    assert (rows_of(pruned), pruned.activity_count > 3, events(pruned.id)) == (0, True, [])
    lines = [json.loads(line) for line in archive_of(world).read_text("utf-8").splitlines()]
    rows = [line["activity"] for line in lines if "activity" in line]
    assert len(rows) == pruned.activity_count
    assert {row["actor_name"] for row in rows} == {"Ada Brandt"}
    assert all_hold(world)


def test_p13_a_pruned_request_breaks_no_promise(world: World, pruned: AccessRequest) -> None:
    """Neither with all of its events gone, nor beside an access of today."""
    assert broken_promises() == []
    old_access(world)
    assert broken_promises() == []


@pytest.mark.only_sqlite
def test_s54_pages_say_that_older_entries_were_archived(world: World, pruned: AccessRequest) -> None:
    """The time line stays; where rows are missing, the page says why, on the console and at the customer's."""
    archived = f"Older entries were archived on {world.clock.now():%-d %b %Y}"
    for who, host, page in (
        ("ada@operator.example", CONSOLE, f"/access/{pruned.public_id}"),
        ("ada@operator.example", CONSOLE, "/audit"),
        ("rosa@acme.example", ACME, f"/support-access/{pruned.public_id}"),
    ):
        browser = world.signed_in(who, host)
        browser.get(host + page)
        assert archived in browser.text, browser.text
        assert "Nothing was opened" not in browser.text
    record = telling.record_of(world.request(pruned.id))
    assert record["events"] == []
    assert any(line.startswith("Older events were archived on 2027-01-01") for line in telling.lines_of(record))


@pytest.mark.only_sqlite
def test_s54_where_nothing_was_archived_no_page_says_so(world: World, acme: VirtualInstance) -> None:
    """A younger access beside an archived one has all of its record."""
    world.administrator(acme, "rosa@acme.example")
    old_access(world)
    world.clock.advance(days=40)
    young = old_access(world)
    prune_all(world)
    assert rows_of(young) == young.activity_count
    for who, host, page in (
        ("ada@operator.example", CONSOLE, f"/access/{young.public_id}"),
        ("rosa@acme.example", ACME, f"/support-access/{young.public_id}"),
    ):
        browser = world.signed_in(who, host)
        assert browser.get(host + page).status_code == 200
        assert "archived" not in browser.text


def test_s51_nothing_goes_of_an_access_that_has_not_ended(world: World, acme: VirtualInstance) -> None:
    """Nor anything after its first event in its chain, however old; other chains go on without it."""
    first = old_access(world)
    stuck = go_inside(world)
    told, inside = events(stuck.request.id), rows_of(stuck.request)
    before = list(db.session.scalars(select(AuditEvent.number).where(AuditEvent.request_id == stuck.request.id)))
    world.clock.advance(days=40)
    done = prune_all(world)
    assert (events(stuck.request.id), rows_of(stuck.request)) == (told, inside)
    assert (len(told) > 3, inside > 0) == (True, True)
    assert (events(first.id), rows_of(first), done.activity) == ([], 0, first.activity_count)
    query = select(func.min(AuditEvent.number)).where(AuditEvent.instance_id == acme.id)
    assert db.session.scalar(query) == min(before)
    assert all_hold(world)


@pytest.mark.only_sqlite
def test_p13_a_request_of_which_a_part_is_archived_breaks_no_promise(world: World, acme: VirtualInstance) -> None:
    """The cut went through the middle of it; what is left fits the machine, and what does not is still found."""
    found = old_access(world)
    events_of = select(AuditEvent).where(AuditEvent.request_id == found.id).order_by(AuditEvent.number)
    moment = db.session.scalars(events_of).all()[3].occurred_at
    world.clock.advance(days=40)
    prune_all(world, before=moment + timedelta(microseconds=1))
    left = events(found.id)
    assert left[-1] == "access.ended"
    assert "access.requested" not in left
    assert broken_promises() == []
    assert "older_events_archived" in telling.record_of(world.request(found.id))


@pytest.mark.only_sqlite
def test_p13_what_is_left_of_a_request_must_fit(world: World, pruned: AccessRequest) -> None:
    """Only what has ended may have lost its beginning to an archive."""
    with db.engine.begin() as connection:
        connection.execute(update(AccessRequest).values(state="ending", next_attempt_at=world.clock.now()))
    assert any("what is left of it does not fit" in message for message in broken_promises())


def test_s51_raw_sql_deletes_no_activity_but_below_a_checkpoint(world: World, acme: VirtualInstance) -> None:
    """What was archived goes by anybody's hand, and what came after it by nobody's."""
    found = old_access(world)
    last = db.session.scalar(select(func.max(Activity.id))) or 0
    world.clock.advance(days=40)
    old_access(world)
    with interrupted("tempadmin.audit.pruning._delete:committed"):
        prune_all(world)
    for which in (f"id > {last}", f"id = {last} + 1", "instance_id = 2"):
        with pytest.raises(IntegrityError, match="append-only"), db.engine.begin() as connection:
            connection.execute(text(f"DELETE FROM activity WHERE {which}"))
    assert rows_of(found) == found.activity_count
    with db.engine.begin() as connection:
        connection.execute(text(f"DELETE FROM activity WHERE id <= {last}"))
    assert rows_of(found) == 0


@pytest.mark.only_sqlite
def test_s51_an_archive_is_not_gone_on_with_where_an_access_goes_on_again(world: World, acme: VirtualInstance) -> None:
    """The database was restored after the archive was made: of what has not ended in it nothing goes."""
    found = old_access(world)
    world.clock.advance(days=40)
    before = month_ago(world)
    with interrupted("tempadmin.audit.prune._archived:after archive"):
        prune_all(world, before=before)
    with db.engine.begin() as connection:
        connection.execute(update(AccessRequest).values(state="ending", next_attempt_at=world.clock.now()))
    with pytest.raises(Conflict, match="not the one that was archived"):
        prune_all(world, before=before)
    assert (rows_of(found), events(found.id)[0]) == (found.activity_count, "access.requested")
