"""The console's list of customers' instances."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import select

from instances import registry
from instances.actions import Badge, Column, Listed, RowAction, instance_list
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tests.browser import Browser
from tests.conftest import Build
from tests.world import World


@pytest.fixture
def console(world: World) -> Browser:
    world.omniadmin()
    return world.signed_in()


def names(browser: Browser) -> list[str]:
    return re.findall(r'<th scope="row"><span class="strong">([^<]*)</span>', browser.page)


def make_three(world: World) -> None:
    for web_id, name, host in (
        ("zeta", "Alpha Corp", "m.example.com"),
        ("yard", "Beta_Corp", "z.example.com"),
        ("xray", "Gamma 100%", "a.example.org"),
    ):
        registry.create_instance(web_id=web_id, name=name, host=host, actor=SERVICE, runtime=world.runtime)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("alpha", ["Alpha Corp"]),
        ("CORP", ["Alpha Corp", "Beta_Corp"]),
        ("xra", ["Gamma 100%"]),
        ("example.COM", ["Alpha Corp", "Beta_Corp"]),
        ("_", ["Beta_Corp"]),
        ("%25", ["Gamma 100%"]),
        ("operator", []),
        ("\\", []),
        ("  alpha  ", ["Alpha Corp"]),
    ],
)
def test_search_looks_at_name_web_id_and_host(world: World, console: Browser, text: str, found: list[str]) -> None:
    """Any part in any case; LIKE's wildcards are letters; the default instance is no customer."""
    make_three(world)
    console.get(f"/instances?q={text}")
    assert names(console) == found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", "ABG"),
        ("-name", "GBA"),
        ("web_id", "GBA"),
        ("-web_id", "ABG"),
        ("host", "GAB"),
        ("-host", "BAG"),
        ("id; drop table", "ABG"),
        ("--name", "ABG"),
    ],
)
def test_the_list_sorts_by_each_heading(world: World, console: Browser, sort: str, order: str) -> None:
    """Name, web id and host, both ways; nonsense means by name."""
    make_three(world)
    console.get(f"/instances?sort={sort}")
    assert "".join(name[0] for name in names(console)) == order


def test_a_click_on_a_heading_turns_the_order_round_and_keeps_the_search(world: World, console: Browser) -> None:
    """The links of the page do what its arrows say."""
    make_three(world)
    console.get("/instances?q=corp")
    console.get(console.link(r"/instances\?[^\"]*sort=-name[^\"]*"))
    assert names(console) == ["Beta_Corp", "Alpha Corp"]
    console.get(console.link(r"/instances\?[^\"]*sort=name[^\"]*"))
    assert names(console) == ["Alpha Corp", "Beta_Corp"]


def test_25_a_page(world: World, console: Browser) -> None:
    """Never a count over everything; the second page holds the rest, and leads back."""
    for number in range(27):
        world.instance(f"i{number:02}", f"Instance {number:02}")
    console.get("/instances")
    assert len(names(console)) == 25
    assert "1 – 25" in console.text
    console.get(console.link(r"/instances\?after=[^\"]*"))
    assert names(console) == ["Instance 25", "Instance 26"]
    console.get(console.link(r"/instances\?before=[^\"]*"))
    assert names(console) == [f"Instance {number:02}" for number in range(25)]


def test_an_archived_instance_is_no_target(world: World, console: Browser) -> None:
    """It is gone from the list."""
    make_three(world)
    registry.archive_instance(web_id="zeta", actor=SERVICE, runtime=world.runtime)
    console.get("/instances")
    assert names(console) == ["Beta_Corp", "Gamma 100%"]


def test_an_empty_list_says_what_to_do(console: Browser) -> None:
    """It names the command that fills it; a search without a hit leads back to all."""
    console.get("/instances")
    assert "tempadmin instance create" in console.text
    console.get("/instances?q=nothing")
    assert "Show all instances" in console.text


def test_other_modules_add_columns_and_actions(build: Build) -> None:
    """Each column is asked once for the whole page; an action without an address is not shown."""
    world = build(modules="instances,scheduler")
    make_three(world)
    asked: list[int] = []

    def cells(instances: Sequence[Listed]) -> Mapping[int, Sequence[Badge]]:
        asked.append(len(instances))
        return {one.id: [Badge("two keys", "wait")] for one in instances if one.web_id == "yard"}

    xray = db.session.scalars(select(VirtualInstance.id).where(VirtualInstance.web_id == "xray")).one()
    instance_list(world.app).columns.append(Column(title="Keys", cells=cells))
    instance_list(world.app).actions.append(
        RowAction(label="Open", urls=lambda found: {one.id: f"/open/{one.web_id}" for one in found if one.id == xray})
    )
    world.omniadmin()
    console = world.signed_in()
    console.get("/instances")
    assert asked == [3]
    assert console.text.count("two keys") == 1
    assert re.findall(r'href="(/open/[^"]*)"', console.page) == ["/open/xray"]
    assert "Request admin access" not in console.text


def test_search_knows_letters_beyond_ascii_in_any_case(world: World, console: Browser) -> None:
    """A customer whose name has an Ø is found by ø, on both databases."""
    world.instance("orsted", "Ørsted Værk")
    console.get("/instances?q=ørsted væ")
    assert names(console) == ["Ørsted Værk"]
