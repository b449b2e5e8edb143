"""S50: many writers of one record at once leave no gap, no fork and no deadlock, on both databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.db import before_commit, db
from tests.tempadmin.chain_writer import write
from tests.tickets.evidence import at_once, faults, workers
from tests.world import World

ROOT = Path(__file__).parents[2]
WRITERS, EVENTS, PROCESSES = 12, 5, 3


def chain(instance_id: int) -> list[int]:
    """The numbers of a chain, in the order of their rows' ids."""
    db.session.rollback()
    query = select(AuditEvent.number).where(AuditEvent.instance_id == instance_id).order_by(AuditEvent.id)
    return list(db.session.scalars(query))


def assert_sound(world: World, instance_id: int, written: int) -> None:
    """Numbered from one without a gap, as many as were written, the head at the last, and the keys fit."""
    assert sorted(chain(instance_id)) == list(range(1, written + 1))
    head = db.session.get_one(AuditHead, instance_id)
    assert head.number == written
    assert faults(world) == []


def writing(world: World, *instance_ids: int) -> Callable[[], None]:
    """Write to some chains in each of several transactions, in an application context of its own."""

    def call() -> None:
        with world.app.app_context():
            write(world.runtime, instance_ids, EVENTS)

    return call


def test_s50_simultaneous_writers_of_a_new_chain_leave_no_gap(world: World) -> None:
    """Twelve threads over four workers begin one chain together: one of them makes its head."""
    acme = world.instance("acme").id
    with workers(world, 4) as others:
        at_once([writing(one, acme) for one in others * (WRITERS // 4)])
    assert_sound(world, acme, WRITERS * EVENTS)


def test_s50_writers_of_two_chains_in_either_order_are_no_deadlock(world: World) -> None:
    """One transaction records for two instances, another for the same two the other way round: both are written."""
    acme, birch = world.instance("acme").id, world.instance("birch").id
    with workers(world, 4) as others:
        calls = [writing(one, *pair) for one in others for pair in ((acme, birch), (birch, acme), (birch,))]
        at_once(calls)
    assert_sound(world, acme, 2 * 4 * EVENTS)
    assert_sound(world, birch, 3 * 4 * EVENTS)


def test_s50_a_writer_that_rolls_back_leaves_no_gap(world: World) -> None:
    """Numbers are taken under the head's lock, not from a sequence: what fails between others takes none away."""
    acme = world.instance("acme").id

    def refuse(_session: object) -> None:
        raise PermissionError

    def fails(one: World) -> None:
        for _ in range(EVENTS):
            with pytest.raises(PermissionError):
                writing(one, acme)()

    with workers(world, 4) as others:
        for one in others[2:]:
            before_commit(one.app).append(refuse)  # after the event was numbered and written
        calls = [writing(one, acme) for one in others[:2] * 2]
        calls += [partial(fails, one) for one in others[2:]]
        at_once(calls)
    assert_sound(world, acme, 4 * EVENTS)


def test_s50_processes_that_write_at_once_leave_no_gap(world: World) -> None:
    """Three real processes write one chain as fast as they can."""
    acme = world.instance("acme").id
    url = db.engine.url.render_as_string(hide_password=False)
    arguments = [str(world.runtime.settings.data), url, str(acme), str(EVENTS * 2)]
    command = [sys.executable, "-m", "tests.tempadmin.chain_writer", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        children = []
        for _ in range(PROCESSES):
            child = stack.enter_context(subprocess.Popen(command, cwd=ROOT, **pipes))  # type: ignore[call-overload]
            stack.callback(child.kill)
            children.append(child)
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            child.communicate(timeout=60)
            assert child.returncode == 0
    assert_sound(world, acme, PROCESSES * EVENTS * 2)
