"""Pages of 25, each found by the key of a row beside it: page 4,000 costs what the first one does.

An offset would read all that it skips, and show a row twice, or never, when others come or go meanwhile. The address
carries the key, sealed: an altered or outdated one, and the ``page=4`` of old bookmarks, lead to the first page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

from flask import request
from sqlalchemy import Select, bindparam, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from tempadmin.db import db
from tempadmin.keys import Unsealable
from tempadmin.runtime import current_runtime

PAGE_SIZE = 25
LONGEST_SEARCH = 100
AFTER, BEFORE = "after", "before"
PLACES = (AFTER, BEFORE, "page")
"""What addresses say of the place in a list: today's words, and the one of old bookmarks."""

R = TypeVar("R")
Key = Sequence[str | int]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Where a page lies in its list: the neighbours' addresses, and how many rows it shows.

    Rows have numbers on the first page alone: how many stand before a later one, nobody has counted.
    """

    shown: int
    previous_url: str | None
    next_url: str | None


def search_text() -> str:
    """Return what was typed into a search field."""
    return request.args.get("q", "").strip()[:LONGEST_SEARCH]


class Read(Protocol[R]):
    """Runs a statement, ordered as told, with its values; a row has an attribute by the name of each sort column."""

    def __call__(self, statement: Select[R], values: Mapping[str, Any], *, descending: bool) -> Sequence[R]:
        """Return the rows in the statement's order."""
        ...


def entities(statement: Select[R], values: Mapping[str, Any], *, descending: bool) -> Sequence[R]:
    """Read the one object of each row."""
    return db.session.scalars(statement, values).all()


class Pages(Generic[R]):
    """A query's rows in an order, 25 at a time; kept by a module, its statements are built once.

    Parameters
    ----------
    query
        Which rows; its own order is not looked at.
    order
        The sort columns. No two rows have the same values in all of them, and none is ever NULL (a comparison with
        NULL finds nothing).
    descending
        The whole order turned round.
    read
        Runs each statement.
    """

    def __init__(
        self,
        query: Select[R],
        *order: InstrumentedAttribute[Any],
        descending: bool = False,
        read: Read[R] = entities,
    ) -> None:
        self.order, self.descending = order, descending
        self._query, self._read = query, read
        self._names = [column.key for column in order]
        self._statements: dict[tuple[bool, bool], Select[R]] = {}

    def fetch(self, values: Mapping[str, Any] | None = None) -> tuple[Sequence[R], Page]:
        """Read the page that the address asks for, and one row more, which tells whether there is another beyond.

        Parameters
        ----------
        values
            The query's own parameters.
        """
        own = values or {}
        after, before = self._key_of(AFTER), self._key_of(BEFORE)
        key = after or before
        backwards = after is None and before is not None
        rows = self._window(key, own, backwards=backwards)
        if backwards and len(rows) < PAGE_SIZE:  # so it is the first page, which rows that went have left too short
            key, backwards = None, False
            rows = self._window(None, own)
        elif key is not None and not rows:  # what came after has gone: this is the end of the list
            key, backwards = None, True
            rows = self._window(None, own, backwards=True)
        more, shown = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
        if backwards:
            shown = shown[::-1]
        earlier, later = (more, key is not None) if backwards else (key is not None, more)
        return shown, Page(
            shown=len(shown),
            previous_url=self._url(BEFORE, shown[0]) if earlier else None,
            next_url=self._url(AFTER, shown[-1]) if later else None,
        )

    def _window(self, key: Key | None, values: Mapping[str, Any], *, backwards: bool = False) -> Sequence[R]:
        place = {} if key is None else {f"key_{name}": value for name, value in zip(self._names, key, strict=True)}
        statement = self._statement(backwards=backwards, from_key=key is not None)
        return self._read(statement, {**values, **place}, descending=self.descending != backwards)

    def _statement(self, *, backwards: bool, from_key: bool) -> Select[R]:
        """Return the query of one page's rows and one row more."""
        if (backwards, from_key) not in self._statements:
            falling = self.descending != backwards
            query = self._query.order_by(None).limit(PAGE_SIZE + 1)
            query = query.order_by(*(column.desc() if falling else column.asc() for column in self.order))
            if from_key:
                columns = tuple_(*self.order)
                key = tuple_(*(bindparam(f"key_{column.key}", type_=column.type) for column in self.order))
                query = query.where(columns < key if falling else columns > key)
            self._statements[backwards, from_key] = query
        return self._statements[backwards, from_key]

    @property
    def _owner(self) -> str:
        """Whose key it is: one of another list or order opens nothing here."""
        return f"{request.endpoint} {' '.join(self._names)} {self.descending}"

    def _key_of(self, place: str) -> Key | None:
        sealed = request.args.get(place)
        if not sealed:
            return None
        try:
            key: Key = json.loads(current_runtime().keys.unseal("page", sealed, owner=self._owner))
        except Unsealable:
            return None
        return key

    def _url(self, place: str, row: R) -> str:
        key = json.dumps([getattr(row, name) for name in self._names], ensure_ascii=False)
        sealed = current_runtime().keys.seal("page", key.encode(), owner=self._owner)
        rest = {name: value for name, value in request.args.items() if name not in PLACES}
        return f"{quote(request.path)}?{urlencode({**rest, place: sealed})}"
