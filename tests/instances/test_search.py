"""The index by which instances are found by any part of their names (``instances.search``)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import Select, insert, text, tuple_

from instances import queries, registry
from instances.finding import FEW, Way
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tests.browser import Browser
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
def test_postgresql_takes_the_index_that_suits_the_text(world: World) -> None:
    """Trigrams where few fit, the order of the list where many do; nothing reads and sorts all."""
    put(world, [*((f"Common {number:05}", f"c{number}") for number in range(3000)), ("Birch", "birch")])
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE virtual_instances"))  # as it does by itself in time
        plans = {
            part: "\n".join(connection.exec_driver_sql(f"EXPLAIN {written_out(page)}").scalars())
            for part in ("birch", "common")
            for page in [queries.customers(search=part).limit(26)]
        }
    assert "ix_virtual_instances_search" in plans["birch"]
    assert "ix_virtual_instances_listed_by_name" in plans["common"]
    assert "Sort" not in plans["common"]


@pytest.mark.only_sqlite
def test_sqlite_uses_its_index_where_few_fit(world: World) -> None:
    """The plan begins with the full-text table, and looks each instance up by its id."""
    put(world, [("Birch", "birch")])
    plan = plan_of(queries.customers(search="birch"))
    assert any("VIRTUAL TABLE INDEX" in line for line in plan), plan
    assert not any(line.startswith("SCAN virtual_instances") and "VIRTUAL" not in line for line in plan), plan


@pytest.mark.only_sqlite
@pytest.mark.parametrize("sort", ["name", "web_id", "virtual_hostname"])
def test_sqlite_reads_the_list_in_the_order_of_an_index(world: World, sort: str) -> None:
    """With and without a text that many have, from a key or the beginning, either way: nothing is sorted."""
    put(world, [(f"Birch {number}", f"birch{number}") for number in range(50)])
    column = getattr(VirtualInstance, sort)
    for way, values in ((Way.NO_TEXT, {}), (Way.IN_ORDER, {"pattern": "%birch%"})):
        listed = queries.customers_found(way).params(values).limit(26)
        for query in (
            listed.order_by(column, VirtualInstance.id),
            listed.order_by(column.desc(), VirtualInstance.id.desc()),
            listed.where(tuple_(column, VirtualInstance.id) > ("birch2", 7)).order_by(column, VirtualInstance.id),
        ):
            (line,) = plan_of(query)
            assert f"USING INDEX ix_virtual_instances_listed_by_{sort}" in line


def test_a_later_page_of_a_search_begins_where_the_former_ended(world: World) -> None:
    """Whichever way it is found: few that fit, many, two letters, and letters beyond ASCII."""
    words = ["rare"] * 30 + ["common"] * (FEW + 30)
    put(world, [(f"Ørsted {word} {number:04}", f"w{number}") for number, word in enumerate(words)])
    world.omniadmin()
    console = world.signed_in()
    for part, count in (("rare", 30), ("common", FEW + 30), ("st", FEW + 60), ("ør", FEW + 60)):
        console.get(f"/instances?q={part}")
        first = shown(console)
        console.get(console.link(r"/instances\?q=[^&]*&after=[^\"]*"))
        assert len(first) == 25
        assert first + shown(console) == found(part)[: min(50, count)], part


def shown(console: Browser) -> list[str]:
    return re.findall(r'<th scope="row"><span class="strong">([^<]*)</span>', console.page)


def plan_of(query: Select[VirtualInstance]) -> list[str]:
    rows = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {written_out(query)}")
    return [row[3] for row in rows]


def written_out(query: Select[Any]) -> str:
    return str(query.compile(db.engine, compile_kwargs={"literal_binds": True}))
