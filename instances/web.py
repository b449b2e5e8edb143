"""The list of virtual instances on the console. Views only translate."""

from __future__ import annotations

from flask import Blueprint, Flask, render_template, request, url_for

from instances import queries
from instances.actions import instance_list, links
from instances.models import VirtualInstance
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.runtime import application
from tempadmin.web.guard import allow
from tempadmin.web.navigation import Item, items
from tempadmin.web.paging import Pages, search_text

blueprint = Blueprint("instances", __name__)


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
    column, falling = queries.SORTS[sort.removeprefix("-")], sort.startswith("-")
    query = queries.customers(search=search, sort=sort)
    instances, page = Pages(query, column, VirtualInstance.id, descending=falling).fetch()
    app = application()
    columns = instance_list(app).columns
    cells = [column.cells(instances) for column in columns]
    rows = [
        {"instance": row, "cells": [cell.get(row.id, ()) for cell in cells], "actions": links(app, row)}
        for row in instances
    ]
    return render_template(
        "instances/list.html",
        q=search,
        sort=sort,
        sort_urls={name: _sort_url(name, sort, search) for name in queries.SORTS},
        columns=[column.title for column in columns],
        rows=rows,
        page=page,
    )


def _sort_url(name: str, present: str, search: str) -> str:
    return url_for("instances.list_instances", sort=f"-{name}" if present == name else name, q=search or None)
