"""Failpoints: off unless a test turns them on, and wherever something may be lost."""

from __future__ import annotations

import ast

from tempadmin import failpoints
from tests.failpoints.points import PACKAGES, ROOT, STEPS, all_points, functions
from tests.tickets.scenes import bring, new_scene
from tests.world import World
from tickets.states import State


def test_p1_only_a_test_can_turn_failpoints_on() -> None:
    """The hook is nothing, no module of the program sets it, and nothing that a file or a variable says reaches it."""
    assert failpoints.hook is None
    uses, imported = set(), set()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name, tree = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "failpoints":
                    uses.add((name, node.attr))
                elif isinstance(node, ast.ImportFrom) and node.module == "tempadmin.failpoints":
                    imported |= {one.name for one in node.names}
                elif isinstance(node, ast.Constant) and node.value in ("failpoints", "tempadmin.failpoints"):
                    uses.add((name, "by its name"))
    assert (uses, imported) == ({("tempadmin/db.py", "opened")}, {"reach"})
    ours = ast.parse((ROOT / "tempadmin/failpoints.py").read_text("utf-8"))
    modules = {node.module for node in ours.body if isinstance(node, ast.ImportFrom)}
    assert modules == {"__future__", "collections.abc", "types"}
    assert [one.name for node in ours.body if isinstance(node, ast.Import) for one in node.names] == ["sys"]
    names = [node for node in ast.walk(ours) if isinstance(node, ast.Name) and node.id == "hook"]
    assert [isinstance(one.ctx, ast.Store) for one in names].count(True) == 1


def test_p1_a_transaction_has_three_points_of_its_functions_name(world: World) -> None:
    """Begun, before the commit, committed; and what follows a commit comes after all of them."""
    seen: list[str] = []
    scene = new_scene(world)
    failpoints.hook = seen.append
    try:
        bring(world, scene, State.AWAITING_CONFIRMATION)
    finally:
        failpoints.hook = None
    create = "instances.connectors.local.LocalConnector.create"
    assert seen[:12] == [
        *(f"tickets.request.request_access:{step}" for step in STEPS),
        *(f"tickets.provision._begin:{step}" for step in STEPS),
        "tickets.provision.provision:before create",
        *(f"{create}:{step}" for step in STEPS),
        "tickets.provision.provision:after create",
        "tickets.provision._succeeded:begun",
    ]
    assert set(seen) <= all_points()


def test_p1_a_function_opens_one_transaction() -> None:
    """Else two of its failpoints had the same name, and only the first were ever tried."""
    assert [one.name for one in functions() if one.transactions > 1] == []


def test_p1_what_happens_outside_the_database_has_a_point_before_and_after() -> None:
    """Whoever calls a directory or a mail server says so: the process may die between the call and its answer."""
    silent = [one.name for one in functions() if any(not _stands_between(call, one.body) for call in one.calls_outside)]
    assert silent == []


def _stands_between(call: ast.Call, body: tuple[ast.AST, ...]) -> bool:
    assert isinstance(call.func, ast.Attribute)
    lines = {
        node.args[0].value: node.lineno
        for node in body
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reach"
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    before, after = f"before {call.func.attr}", f"after {call.func.attr}"
    return lines.get(before, call.lineno) < call.lineno < lines.get(after, call.lineno)
