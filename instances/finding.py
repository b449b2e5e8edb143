"""Finding instances by a part of their name, web id or host, in any case."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Integer, Subquery, func, literal_column, or_, select, table, text

from instances.models import VirtualInstance
from instances.search import SEARCHED, SHORTEST, TABLE
from tempadmin.db import db

FEW = 1000
"""More than so many are sorted more slowly than the list, read in its order, has shown a page of them (measured)."""

_COLUMNS = (VirtualInstance.name, VirtualInstance.web_id, VirtualInstance.virtual_hostname)


def contains(part: str) -> ColumnElement[bool]:
    """Return the condition that name, web id or host contains a text."""
    part = part.replace("\n", " ")  # what stands between the columns
    if db.engine.dialect.name == "postgresql":  # its planner chooses by itself
        return literal_column(SEARCHED).icontains(part, autoescape=True)
    phrase = '"{}"'.format(part.replace('"', '""'))
    matches = text(f"{TABLE} MATCH :phrase").bindparams(phrase=phrase)
    found = select(literal_column("rowid", Integer)).select_from(table(TABLE)).where(matches)
    if len(part) >= SHORTEST and _count(found.limit(FEW + 1).subquery()) <= FEW:
        return VirtualInstance.id.in_(found)
    return or_(*(column.icontains(part, autoescape=True) for column in _COLUMNS))


def _count(found: Subquery) -> int:
    return db.session.scalar(select(func.count()).select_from(found)) or 0
