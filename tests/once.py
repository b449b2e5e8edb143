"""What every application of a test process would work out anew, worked out once: templates, addresses and statements.

Each test has an application and an engine of its own, so that none finds what another left in them. What they share
here is pure: the same template, rule or statement always compiles to the same. Together it was a third of the suite's
time (measured).
"""

from __future__ import annotations

from typing import Any

from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule


class Templates(BytecodeCache):
    """Templates that one test's application compiled serve all others."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        kept = self._kept.get((bucket.key, bucket.checksum))
        if kept is not None:
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


TEMPLATES = Templates()

STATEMENTS = 5_000
"""How many compiled statements are kept for each kind of database."""


class _Same:
    """A dialect that equals every other of its kind: it is part of the key under which a compiled statement is kept."""

    supports_statement_cache = True
    kept: LRUCache[Any, Any]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine._compiled_cache = cls.kept


class Sqlite(_Same, SQLiteDialect_pysqlite):
    supports_statement_cache = True
    kept = LRUCache(STATEMENTS)


class Postgresql(_Same, PGDialect_psycopg):
    supports_statement_cache = True
    kept = LRUCache(STATEMENTS)


_compile_builder = Rule._compile_builder
_builders: dict[tuple[object, ...], Any] = {}


def _builder(rule: Rule, append_unknown: bool = True) -> Any:  # noqa: FBT001, FBT002 – Werkzeug's own signature
    """The function that builds a rule's address; it takes the converters from the rule that it is called on."""
    if rule.defaults:
        return _compile_builder(rule, append_unknown)
    key = (rule.rule, tuple(rule._trace), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


def share() -> None:
    """Have all applications of this process use what is kept here."""
    registry.register("sqlite", __name__, "Sqlite")
    registry.register("postgresql.psycopg", __name__, "Postgresql")
    Rule._compile_builder = _builder  # type: ignore[method-assign, assignment]
