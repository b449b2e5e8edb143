"""The list of virtual instances on the console. Views only translate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast
from urllib.parse import urlencode

from flask import Blueprint, Flask, render_template, request
from sqlalchemy import Select, Table

from instances import queries
from instances.actions import Listed, instance_list, links
from instances.finding import Way, way_of
from instances.models import VirtualInstance
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.db import run
from tempadmin.runtime import application
from tempadmin.web.guard import allow
from tempadmin.web.navigation import Item, items
from tempadmin.web.paging import Pages, search_text

blueprint = Blueprint("instances", __name__)

COLUMNS = [cast(Table, VirtualInstance.__table__).c[name] for name in Listed._fields]


def init_app(app: Flask) -> None:
    """Add the pages and their places in the bar."""
    app.register_blueprint(blueprint)
    description = "Every customer's instance: find one and see what goes on there."
    items(app).append(
        Item(label="Virtual instances", endpoint="instances.list_instances", description=description, order=10)
    )


@blueprint.get("/instances")
@allow(OMNIADMIN, place="console")
def list_instances() -> str:
    """List customers' instances with what other modules add."""
    search, sort = search_text(), request.args.get("sort", "name")
    sort = sort if sort.removeprefix("-") in queries.SORTS else "name"
    way, values = way_of(search)
    instances, page = _pages(sort, way).fetch(values)
    app = application()
    columns = [(column.title, column.cells(instances)) for column in instance_list(app).columns]
    actions = links(app, instances)
    rows = [
        (
            row,
            [(title, badges.get(row.id, ())) for title, badges in columns],
            [action for action in actions[row.id] if action.minor],
            [action for action in actions[row.id] if not action.minor],
        )
        for row in instances
    ]
    return render_template(
        "instances/list.html",
        q=search,
        sort=sort,
        sort_urls={name: _sort_url(name, sort, search) for name in queries.SORTS},
        columns=[title for title, _ in columns],
        rows=rows,
        page=page,
    )


@cache
def _pages(sort: str, way: Way) -> Pages[Listed]:
    """Return one of the list's orders, with its statements once they are built."""
    column = queries.SORTS[sort.removeprefix("-")]
    query: Select[Any] = queries.customers_found(way).with_only_columns(*COLUMNS)
    return Pages(query, column, VirtualInstance.id, descending=sort.startswith("-"), read=_listed)


def _listed(statement: Select[Any], values: Mapping[str, Any], *, descending: bool) -> Sequence[Listed]:
    return [Listed._make(row) for row in run(statement, values)]


def _sort_url(name: str, present: str, search: str) -> str:
    values = {"sort": f"-{name}" if present == name else name} | ({"q": search} if search else {})
    return f"{request.path}?{urlencode(values)}"
