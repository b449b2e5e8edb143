"""S51: old events are archived in a file, a signed checkpoint is set above them, and only then they go."""

from __future__ import annotations

import hashlib
import json

import pytest
from sqlalchemy import select

from tempadmin.audit.models import AuditEvent
from tempadmin.audit.plan import plan_for
from tempadmin.audit.prune import prune
from tempadmin.audit.pruning import AIM_SECONDS, FEWEST, MOST, Pace
from tempadmin.db import db
from tests.tempadmin.pruned import OPERATOR, all_hold, archive_of, month_ago, prune_all, write_events
from tests.world import World


@pytest.fixture
def old(world: World) -> World:
    """Two chains with events 1 to 10 that are old and 11 to 13 that are not; a third with nothing old."""
    write_events(world, 10, 1, 2)
    world.clock.advance(days=31)
    write_events(world, 3, 1, 2, 3)
    return world


def numbers(instance_id: int) -> list[int]:
    db.session.rollback()
    query = select(AuditEvent.number).where(AuditEvent.instance_id == instance_id)
    return list(db.session.scalars(query.order_by(AuditEvent.number)))


def test_s51_what_is_old_is_archived_and_goes_and_the_chain_holds(old: World) -> None:
    """Each chain has its own checkpoint event; the file has all that went, and its digest stands in the record."""
    before = {
        (one.instance_id, one.number): one.hash
        for one in db.session.scalars(select(AuditEvent))
        if one.instance_id < 3 and one.number <= 10
    }
    done = prune_all(old)
    assert (numbers(1), numbers(2), numbers(3)) == ([11, 12, 13, 14], [11, 12, 13, 14], [1, 2, 3])
    assert (done.events, done.activity) == (20, 0)
    content = archive_of(old).read_bytes()
    assert done.digest == hashlib.sha256(content).hexdigest()
    lines = [json.loads(line) for line in content.splitlines()]
    archived = [line["event"] for line in lines if "event" in line]
    assert {(one["instance_id"], one["number"]): one["hash"] for one in archived} == before
    event = db.session.scalars(
        select(AuditEvent).where(AuditEvent.instance_id == 2).order_by(AuditEvent.id.desc())
    ).first()
    assert event is not None
    said = json.loads(event.details)
    assert (event.event, event.actor_name, said["via"]) == (
        "audit.checkpoint",
        "operator (command line)",
        "command line",
    )
    assert (said["number"], said["events"], said["archive_sha256"]) == (10, 10, done.digest)
    assert said["hash"] == before[2, 10]
    assert all_hold(old)


def test_s51_the_record_goes_on_and_is_pruned_again(old: World) -> None:
    """The next prune begins where the last one ended, and leaves alone what has nothing but its checkpoint."""
    prune_all(old)
    old.clock.advance(days=40)
    write_events(old, 2, 2)
    done = prune_all(old, archive_of(old).with_name("second.jsonl"))
    assert (done.events, numbers(2)) == (4 + 4 + 3, [15, 16, 17])
    assert all_hold(old)
    old.clock.advance(days=40)
    assert prune_all(old, archive_of(old).with_name("third.jsonl")).events == 3
    assert numbers(1) == [15]


@pytest.mark.only_sqlite
def test_a_prune_takes_the_lock_for_a_moment_at_a_time(world: World) -> None:
    """What held it long is halved and more at once, what held it shortly grows slowly; one is never too few or many."""
    pace = Pace()
    pace.note(4 * AIM_SECONDS, 100)
    assert pace.size == 25
    for _turn in range(20):
        before = pace.size
        pace.note(0, before)
        assert before <= pace.size <= before * 1.5
    assert pace.size == MOST
    pace.note(0.1, MOST // 4)  # the rest of a chain tells little
    assert pace.size == MOST
    for _turn in range(9):
        pace.note(3 * AIM_SECONDS, pace.size)
    assert pace.size == FEWEST


def test_others_write_while_a_record_is_pruned(old: World) -> None:
    """Between two transactions of a prune, into the same chains."""
    written = 0

    def rival(_rows: int) -> None:
        nonlocal written
        write_events(old, 1, 1, 2)
        written += 1

    plan = plan_for(before=month_ago(old), instance_id=None, runtime=old.runtime)
    file = archive_of(old)
    prune(plan=plan, file=file, actor=OPERATOR, runtime=old.runtime, progress=rival)
    assert written > 3
    assert numbers(1) == list(range(11, 14 + 1 + written))
    assert all_hold(old)
