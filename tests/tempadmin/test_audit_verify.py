"""`tempadmin audit verify` finds whatever was done to the record, and says which event (S52)."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from tempadmin.audit.log import SERVICE, record
from tempadmin.audit.models import AuditHead
from tempadmin.cli import build as build_command
from tempadmin.db import db, transaction
from tests.conftest import Build
from tests.tamper import without_triggers
from tests.world import CONSOLE, KEYS, World

COLUMNS = "instance_id, number, occurred_at, event, actor_id, actor_name, request_id, details, previous_hash, hash"
EDITS = {
    "event": "'access.harmless'",
    "actor_name": "'Somebody else'",
    "actor_id": "99",
    "request_id": "NULL",
    "details": "'{}'",
    "occurred_at": "'2001-01-01 00:00:00.000000'",
    "previous_hash": "hash",
    "hash": "'" + "0" * 64 + "'",
}


@pytest.fixture
def chains(world: World) -> World:
    """Ten events at Acme (instance 2), three at Birch (3)."""
    world.instance("acme")
    world.instance("birch")
    for turn in range(10):
        with transaction():
            for instance_id in (2, 3) if turn < 3 else (2,):
                record(
                    "access.something",
                    instance_id=instance_id,
                    actor=SERVICE,
                    at=world.clock.advance(seconds=1),
                    request_id=7,
                    turn=turn,
                )
    return world


def tamper(*statements: str) -> None:
    """What somebody with the database's password can do; triggers would not stop them either."""
    with without_triggers(), db.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def verify(world: World, *more: str, keys: tuple[str, ...] = KEYS) -> Result:
    db.session.remove()
    command = ["audit", "verify", "--data", str(world.runtime.settings.data), *more]
    environment = {
        "TEMPADMIN_BASE_URL": CONSOLE,
        "TEMPADMIN_SECRET_KEYS": ",".join(keys),
        "TEMPADMIN_DATABASE_URL": world.runtime.settings.database,
    }
    return CliRunner(env=environment).invoke(build_command([]), command)


def named(result: Result) -> set[str]:
    """The places that the command names, such as `acme: event 4`."""
    assert result.exit_code == 1, result.output
    return {":".join(line.split(":")[:2]) for line in result.stdout.splitlines()}


def head(instance_id: int) -> tuple[int, str]:
    db.session.rollback()
    row = db.session.get_one(AuditHead, instance_id)
    return row.number, row.hash


def test_s52_an_untouched_record_holds(chains: World) -> None:
    """Exit code 0, and one line that says how many chains were walked."""
    result = verify(chains)
    assert (result.exit_code, result.stdout) == (0, "2 chains hold.\n")
    number, digest = head(2)
    assert verify(chains, "--expect-head", f"2:{number}:{digest}").exit_code == 0


@pytest.mark.parametrize("column", EDITS)
def test_s52_an_edited_event_is_named(column: str, chains: World) -> None:
    """Whichever column was changed."""
    tamper(f"UPDATE audit_events SET {column} = {EDITS[column]} WHERE instance_id = 2 AND number = 4")
    assert "acme: event 4" in named(verify(chains))


@pytest.mark.parametrize("number", [1, 5, 9])
def test_s52_a_deleted_event_is_named(number: int, chains: World) -> None:
    """By the gap that it leaves, at the beginning and in the middle."""
    tamper(f"DELETE FROM audit_events WHERE instance_id = 2 AND number = {number}")
    result = verify(chains)
    assert f"acme: event {number + 1}" in named(result)
    assert f"event {number} deleted" in result.stdout


def test_s52_a_deleted_event_whose_gap_was_closed_is_named(chains: World) -> None:
    """Renumbering what follows does not hide it."""
    tamper(
        "DELETE FROM audit_events WHERE instance_id = 2 AND number = 5",
        "UPDATE audit_events SET number = number - 101 WHERE instance_id = 2 AND number > 5",
        "UPDATE audit_events SET number = number + 100 WHERE instance_id = 2 AND number < 0",
        "UPDATE audit_heads SET number = 9 WHERE instance_id = 2",
    )
    assert "acme: event 5" in named(verify(chains))


def test_s52_an_inserted_event_is_named(chains: World) -> None:
    """A copy at the end with the head moved along, or one between others with the rest renumbered."""
    tamper(
        f"INSERT INTO audit_events ({COLUMNS}) SELECT instance_id, 11, occurred_at, event, actor_id, actor_name, "
        "request_id, details, hash, hash FROM audit_events WHERE instance_id = 2 AND number = 10",
        "UPDATE audit_heads SET number = 11 WHERE instance_id = 2",
    )
    assert "acme: event 11" in named(verify(chains))


def test_s52_an_event_inserted_between_others_is_named(chains: World) -> None:
    """With everything after it moved up by one."""
    tamper(
        "UPDATE audit_events SET number = -number WHERE instance_id = 2 AND number > 4",
        "UPDATE audit_events SET number = 1 - number WHERE instance_id = 2 AND number < 0",
        f"INSERT INTO audit_events ({COLUMNS}) SELECT instance_id, 5, occurred_at, event, actor_id, actor_name, "
        "request_id, details, previous_hash, hash FROM audit_events WHERE instance_id = 2 AND number = 4",
        "UPDATE audit_heads SET number = 11 WHERE instance_id = 2",
    )
    assert "acme: event 5" in named(verify(chains))


def test_s52_reordered_events_are_named(chains: World) -> None:
    """Two events that changed places."""
    tamper(
        "UPDATE audit_events SET number = -1 WHERE instance_id = 2 AND number = 4",
        "UPDATE audit_events SET number = 4 WHERE instance_id = 2 AND number = 5",
        "UPDATE audit_events SET number = 5 WHERE instance_id = 2 AND number = -1",
    )
    assert {"acme: event 4", "acme: event 5"} <= named(verify(chains))


def test_s52_an_event_moved_to_another_chain_is_named(chains: World) -> None:
    """In the chain that lost it and in the one that got it."""
    tamper("UPDATE audit_events SET instance_id = 3, number = 4 WHERE instance_id = 2 AND number = 10")
    assert {"acme: event 10", "birch: event 4"} <= named(verify(chains))


def test_s52_an_event_of_another_past_is_named(chains: World) -> None:
    """After a backup was put back, a genuine event that had been written before it does not fit into the chain."""
    last, digest = head(2)

    def happens(event: str) -> None:
        with transaction():
            record(event, instance_id=2, actor=SERVICE, at=chains.clock.advance(seconds=1))

    happens("access.in_the_first_past")
    tamper(
        "CREATE TABLE kept AS SELECT * FROM audit_events WHERE instance_id = 2 AND number = 11",
        "DELETE FROM audit_events WHERE instance_id = 2 AND number = 11",
        f"UPDATE audit_heads SET number = {last}, hash = '{digest}' WHERE instance_id = 2",
    )
    happens("access.in_the_second_past")
    happens("access.after_it")
    assert verify(chains).exit_code == 0
    tamper(
        "DELETE FROM audit_events WHERE instance_id = 2 AND number = 11",
        f"INSERT INTO audit_events ({COLUMNS}) SELECT {COLUMNS} FROM kept",
    )
    assert named(verify(chains)) == {"acme: event 12"}


def test_s52_a_cut_tail_is_found_by_the_head(chains: World) -> None:
    """Events taken off the end are missed by the stored head."""
    tamper("DELETE FROM audit_events WHERE instance_id = 2 AND number > 7")
    assert "acme: event 10" in named(verify(chains))


def test_s52_a_cut_tail_with_its_head_is_found_by_what_the_log_holds(chains: World) -> None:
    """A head moved back hides it from the database alone; --expect-head finds it."""
    number, digest = head(2)
    tamper(
        "DELETE FROM audit_events WHERE instance_id = 2 AND number > 7",
        "UPDATE audit_heads SET number = 7, hash = "
        "(SELECT hash FROM audit_events WHERE instance_id = 2 AND number = 7) WHERE instance_id = 2",
    )
    assert verify(chains).exit_code == 0
    assert "acme: event 10" in named(verify(chains, "--expect-head", f"2:{number}:{digest}"))


@pytest.mark.parametrize("what", ["events", "head", "both"])
def test_s52_a_chain_that_vanished_is_found(what: str, chains: World) -> None:
    """Without its events, without its head, and, with --expect-head, without either."""
    number, digest = head(2)
    statements = {
        "events": ["DELETE FROM audit_events WHERE instance_id = 2"],
        "head": ["DELETE FROM audit_heads WHERE instance_id = 2"],
    }
    tamper(*statements.get(what, statements["events"] + statements["head"]))
    more = ("--expect-head", f"2:{number}:{digest}") if what == "both" else ()
    assert "acme: event 10" in named(verify(chains, *more))


def test_s52_the_other_chains_still_hold(chains: World) -> None:
    """What was done to one is not said of another."""
    tamper("UPDATE audit_events SET details = '{}' WHERE instance_id = 2 AND number = 4")
    assert not any(place.startswith("birch") for place in named(verify(chains)))


def test_s52_the_record_holds_after_the_keys_rotated(chains: World, build: Build) -> None:
    """Events under the old key and under the new one stand in one chain; without the old key it is said."""
    newer = "n" * 32
    rotated = build(secret_keys=(newer, *KEYS))
    with transaction():
        record("access.after", instance_id=2, actor=SERVICE, at=rotated.clock.now())
    assert verify(rotated, keys=(newer, *KEYS)).exit_code == 0
    assert "acme: event 1" in named(verify(rotated, keys=(newer,)))


@pytest.mark.parametrize("value", ["2", "2:10", "x:10:abc", "2:x:abc", "::"])
def test_s52_a_head_that_cannot_be_read_is_refused(value: str, chains: World) -> None:
    """Instead of passing for nothing expected."""
    assert verify(chains, "--expect-head", value).exit_code == 2
