"""Pages of 25, never a count over everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import request, url_for
from sqlalchemy import Select
from sqlalchemy.orm import scoped_session

PAGE_SIZE = 25
LAST_PAGE = 100_000
LONGEST_SEARCH = 100

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Page:
    """Where a page lies in its list: first and last row's number, and the neighbours' addresses."""

    first: int
    last: int
    previous_url: str | None
    next_url: str | None


def search_text() -> str:
    """Return what was typed into a search field."""
    return request.args.get("q", "").strip()[:LONGEST_SEARCH]


def page_number() -> int:
    """Return the page that the address asks for, from 1; nonsense means the first."""
    text = request.args.get("page", "1")
    return min(max(int(text), 1), LAST_PAGE) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def fetch_page(session: scoped_session[Any], query: Select[Any]) -> tuple[Sequence[Any], Page]:
    """Read one page and one row more, which tells whether there is a next page."""
    return page_of(session.execute(windowed(query)).all())


def windowed(query: Select[Any]) -> Select[Any]:
    """Return the query of one page's rows and one row more."""
    return query.offset((page_number() - 1) * PAGE_SIZE).limit(PAGE_SIZE + 1)


def page_of(rows: Sequence[R]) -> tuple[Sequence[R], Page]:
    """Return what is shown of the rows that ``windowed`` found, and where the page lies."""
    number = page_number()
    start, shown = (number - 1) * PAGE_SIZE, rows[:PAGE_SIZE]
    return shown, Page(
        first=start + 1 if shown else 0,
        last=start + len(shown),
        previous_url=_url(number - 1) if number > 1 else None,
        next_url=_url(number + 1) if len(rows) > PAGE_SIZE else None,
    )


def _url(number: int) -> str:
    arguments = {**request.args.to_dict(), "page": str(number)}
    return url_for(request.endpoint or "", **{**(request.view_args or {}), **arguments})
