"""The index by which instances are found by any part of their names (``instances.search``)."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, text

from instances import queries, registry
from instances.finding import FEW
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tests.world import World

NAMES = ("Birch Health", "Nimbus Retail", "Aster & Co", 'O\'Neill "North"', "100% Juice_Bar", "Zebra-Works NEAR(x)")


def put(world: World, names: list[tuple[str, str]]) -> None:
    rows = [{"name": name, "web_id": web_id, "virtual_hostname": f"{web_id}.host.example"} for name, web_id in names]
    with transaction() as session:
        session.execute(insert(VirtualInstance), [{**row, "created_at": world.clock.now()} for row in rows])


def found(part: str) -> list[str]:
    db.session.rollback()
    return [row.name for row in db.session.scalars(queries.customers(search=part))]


def test_every_part_of_a_name_web_id_or_host_finds_it_and_nothing_else_does(world: World) -> None:
    """Long and short parts, in any case, with what full-text languages take for operators."""
    put(world, [(name, f"w{number}-id") for number, name in enumerate(NAMES)])
    everything = {name: (name, f"w{number}-id", f"w{number}-id.host.example") for number, name in enumerate(NAMES)}
    parts = {
        name[at : at + size].strip() for name in NAMES for size in (1, 2, 3, 4, 7) for at in range(0, len(name), 2)
    }
    for part in sorted(parts | {"w3-id", "ID.HOST", "host.example", "h w0", "AND", "x)*", "-", "--", '"""'} - {""}):
        wanted = [name for name, texts in everything.items() if any(part.lower() in one.lower() for one in texts)]
        assert found(part) == sorted(wanted), part
        assert found(part.upper()) == sorted(wanted), part


def test_nothing_is_found_across_two_of_them(world: World) -> None:
    """The end of a name and the beginning of a web id are no part of anything."""
    put(world, [("Birch", "health")])
    assert found("birch") == ["Birch"]
    assert [found(part) for part in ("birchhealth", "ch heal", "chheal", "ch\nheal")] == [[], [], [], []]


def test_the_index_follows_a_new_name_and_a_deletion(world: World) -> None:
    """By triggers, whoever changes the row."""
    instance_id = registry.create_instance(
        web_id="birch", name="Birch Health", host="birch.example", actor=SERVICE, runtime=world.runtime
    )
    with transaction() as session:
        session.execute(text("UPDATE virtual_instances SET name = 'Willow Clinic' WHERE web_id = 'birch'"))
    assert (found("Health"), found("willow")) == ([], ["Willow Clinic"])
    with transaction() as session:
        session.execute(text("DELETE FROM virtual_instances WHERE id = :id"), {"id": instance_id})
    assert found("willow") == []


def test_of_many_that_fit_the_first_page_is_the_right_one(world: World) -> None:
    """More than are sorted: the list is read in its order instead, and says the same."""
    names = [(f"Common {number:05d}", f"c{number}") for number in range(FEW + 50)]
    put(world, [*names, ("Rare", "only-one")])
    assert found("common")[:30] == [name for name, _ in names[:30]]
    assert len(found("common")) == FEW + 50
    assert found("only-one") == ["Rare"]


@pytest.mark.only_postgresql
def test_postgresql_can_use_its_index_for_the_search(world: World) -> None:
    """The query asks for the very expression that is indexed; forbidden to read all, the planner takes it."""
    put(world, [("Birch", "birch")])
    statement = queries.customers(search="birch").order_by(None).with_only_columns(VirtualInstance.id)
    sql = statement.compile(db.engine, compile_kwargs={"literal_binds": True})
    with db.engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off"))
        plan = connection.exec_driver_sql(f"EXPLAIN {sql}").scalars().all()
    assert any("ix_virtual_instances_search" in line for line in plan), plan


@pytest.mark.only_sqlite
def test_sqlite_uses_its_index_where_few_fit(world: World) -> None:
    """The plan begins with the full-text table, and looks each instance up by its id."""
    put(world, [("Birch", "birch")])
    sql = queries.customers(search="birch").compile(db.engine, compile_kwargs={"literal_binds": True})
    plan = [row[3] for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
    assert any("VIRTUAL TABLE INDEX" in line for line in plan), plan
    assert not any(line.startswith("SCAN virtual_instances") and "VIRTUAL" not in line for line in plan), plan
