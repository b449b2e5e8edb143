"""Finding instances by a part of their name, web id or host, in any case.

Each way is a condition that is built once; ``way_of`` chooses one and gives it its values.
"""

from __future__ import annotations

from enum import Enum

from sqlalchemy import ColumnElement, Integer, String, bindparam, func, literal_column, or_, select, table, text

from instances.models import VirtualInstance
from instances.search import SEARCHED, SHORTEST, TABLE
from tempadmin.db import db, run

FEW = 1000
"""More than so many are sorted more slowly than the list, read in its order, has shown a page of them (measured)."""

_COLUMNS = (VirtualInstance.name, VirtualInstance.web_id, VirtualInstance.virtual_hostname)
_MATCHES = text(f"{TABLE} MATCH :phrase").bindparams(bindparam("phrase", type_=String()))
_MATCHING = select(literal_column("rowid", Integer)).select_from(table(TABLE)).where(_MATCHES)
_COUNT = select(func.count()).select_from(_MATCHING.limit(FEW + 1).subquery())
_PATTERN = bindparam("pattern", type_=String())


class Way(Enum):
    """How those that contain a text are found among all."""

    NO_TEXT = "no text"
    MATCH_FIRST = "match first"
    """The full-text table names the few that fit; they are sorted."""
    IN_ORDER = "in order"
    """The list's index is read in its order until a page is full. What is in vain, as two letters that stand nowhere,
    reads that whole index: 17 ms among 100,000 (measured)."""
    IN_ORDER_ANY_SCRIPT = "in order, any script"
    """The same with the case of all scripts, which SQLite's own LIKE knows of ASCII alone: ten times slower."""
    PLANNED = "planned"
    """PostgreSQL's planner chooses by itself, from what it knows of the text's letters."""


CONDITIONS: dict[Way, tuple[ColumnElement[bool], ...]] = {
    Way.NO_TEXT: (),
    Way.MATCH_FIRST: (VirtualInstance.id.in_(_MATCHING),),
    Way.IN_ORDER: (or_(*(column.like(_PATTERN, escape="/") for column in _COLUMNS)),),
    Way.IN_ORDER_ANY_SCRIPT: (or_(*(func.lower(column).like(_PATTERN, escape="/") for column in _COLUMNS)),),
    Way.PLANNED: (literal_column(SEARCHED).ilike(_PATTERN, escape="/"),),
}


def way_of(part: str) -> tuple[Way, dict[str, str]]:
    """Return how to find the instances that contain a text, and the values of the condition."""
    if not part:
        return Way.NO_TEXT, {}
    part = part.replace("\n", " ")  # what stands between the columns
    escaped = part.replace("/", "//").replace("%", "/%").replace("_", "/_")
    if db.engine.dialect.name == "postgresql":
        return Way.PLANNED, {"pattern": f"%{escaped}%"}
    phrase = {"phrase": '"{}"'.format(part.replace('"', '""'))}
    if len(part) >= SHORTEST and run(_COUNT, phrase).scalar_one() <= FEW:
        return Way.MATCH_FIRST, phrase
    if part.isascii():
        return Way.IN_ORDER, {"pattern": f"%{escaped}%"}
    return Way.IN_ORDER_ANY_SCRIPT, {"pattern": f"%{escaped.lower()}%"}
