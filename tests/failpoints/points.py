"""The failpoints that the program has, read from its source: three for each transaction, and each `reach()`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("tempadmin", "instances", "scheduler", "tickets")
STEPS = ("begun", "before commit", "committed")
NAMED_ELSEWHERE = "tempadmin.db.transaction"
"""Its steps bear the names of the functions that open it."""
OUTSIDE = {"connector_for", "mailer"}
"""Whose answers act outside the database: directories and mail servers."""


@dataclass(frozen=True)
class Function:
    """A function of the program, by the name that its failpoints begin with; what is nested in it is one of its own."""

    name: str
    body: tuple[ast.AST, ...]

    @property
    def transactions(self) -> int:
        """How many of our transactions it opens; a product's own connection may have a method of this name."""
        opened = [one.context_expr for one in self.body if isinstance(one, ast.withitem)]
        return sum(_called(one) == "transaction" for one in opened if isinstance(getattr(one, "func", None), ast.Name))

    @property
    def steps(self) -> list[str]:
        """What it reaches by itself, in order; connectors have a method of this name, which is none of them."""
        plain = [one for one in self.body if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)]
        calls = [one for one in plain if _called(one) == "reach"]
        return [ast.literal_eval(call.args[0]) for call in sorted(calls, key=lambda one: one.lineno)]

    @property
    def calls_outside(self) -> list[ast.Call]:
        """Its calls of directories and mail servers, also by way of a variable."""
        given = {
            target.id
            for one in self.body
            if isinstance(one, ast.Assign) and _called(one.value) in OUTSIDE
            for target in one.targets
            if isinstance(target, ast.Name)
        }
        return [
            one
            for one in self.body
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
            if _called(one.func.value) in OUTSIDE or _word(one.func.value) in given
        ]

    @property
    def points(self) -> Iterator[str]:
        """The names of all its failpoints."""
        steps = (*STEPS, *self.steps) if self.transactions else self.steps
        return (f"{self.name}:{step}" for step in steps)


def functions() -> Iterator[Function]:
    """Every function of the program."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                yield from _functions(ast.parse(path.read_text("utf-8")), module)


def all_points() -> set[str]:
    """The names of all failpoints."""
    return {point for function in functions() if function.name != NAMED_ELSEWHERE for point in function.points}


def _functions(top: ast.AST, above: str) -> Iterator[Function]:
    inner = ".<locals>" if isinstance(top, ast.FunctionDef) else ""
    for node in _own(top):
        if isinstance(node, ast.FunctionDef):
            yield Function(f"{above}{inner}.{node.name}", tuple(_own(node)))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from _functions(node, f"{above}{inner}.{node.name}")


def _own(top: ast.AST) -> Iterator[ast.AST]:
    """Whatever stands in a node, but not in the functions and classes that it defines."""
    for node in ast.iter_child_nodes(top):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from _own(node)


def _called(node: ast.AST) -> str:
    return _word(node.func) if isinstance(node, ast.Call) else ""


def _word(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
