"""The record on the default instance: search and export."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Flask, Response, render_template, request, url_for

from tempadmin.accounts.models import OMNIADMIN
from tempadmin.audit import queries
from tempadmin.audit.beginnings import last_archived
from tempadmin.audit.export import COLUMNS, newest
from tempadmin.audit.models import AuditEvent
from tempadmin.web import streams, words
from tempadmin.web.context import instance_source
from tempadmin.web.guard import allow
from tempadmin.web.navigation import Item, items
from tempadmin.web.paging import Pages, search_text

blueprint = Blueprint("audit", __name__)

LONGEST_ID = 19


@dataclass(frozen=True, kw_only=True)
class Row:
    """An event as the page shows it."""

    number: int
    occurred_at: datetime
    event: str
    sentence: str
    actor_name: str
    instance_name: str
    request_url: str | None


def init_app(app: Flask) -> None:
    """Add the pages."""
    app.register_blueprint(blueprint)
    description = "Every decision and change, in chains that show any tampering."
    items(app).append(Item(label="Audit", endpoint="audit.list_events", description=description, order=30))


@blueprint.get("/audit")
@allow(OMNIADMIN, place="console")
def list_events() -> str:
    """Show the newest events; of those that contain the text as many as a part of the record has."""
    search = search_text()
    part = queries.part_of(_until()) if search else None
    found, page = Pages(queries.events(search=search, part=part), AuditEvent.id, descending=True).fetch()
    names = {instance_id: _name_of(instance_id) for instance_id in {event.instance_id for event in found}}
    rows = [_row(event, names[event.instance_id]) for event in found]
    earlier_url = None
    if part is not None and page.next_url is None and queries.is_before(part.start):
        earlier_url = url_for("audit.list_events", q=search, until=part.start - 1)
    archived = last_archived() if page.next_url is None and earlier_url is None else None
    return render_template(
        "audit/list.html",
        q=search,
        page=page,
        events=rows,
        export_url=url_for("audit.export", q=search or None),
        earlier_url=earlier_url,
        archived=archived,
    )


@blueprint.get("/audit/export.csv")
@allow(OMNIADMIN, place="console")
def export() -> Response:
    """Stream the events that contain the text."""
    return streams.answer(form="csv", name="audit", columns=COLUMNS, fetch=newest(search_text()))


def _until() -> int | None:
    """Return the event from which the address has the search go back; nonsense means the newest."""
    text = request.args.get("until", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_ID else None


def _said(name: str, value: object) -> str:
    """Say one detail: durations in words, yes and no instead of true and false."""
    label = name.removesuffix("_seconds").replace("_", " ")
    if name.endswith("_seconds") and isinstance(value, int):
        return f"{label}: {words.duration(value)}"
    return f"{label}: {'yes' if value is True else 'no' if value is False else value}"


def _name_of(instance_id: int) -> str:
    instance = instance_source().by_id(instance_id)
    return instance.name if instance else f"instance {instance_id}"


def _row(event: AuditEvent, instance_name: str) -> Row:
    details = ", ".join(_said(name, value) for name, value in json.loads(event.details).items() if value is not None)
    return Row(
        number=event.number,
        occurred_at=event.occurred_at,
        event=event.event,
        sentence=details,
        actor_name=event.actor_name,
        instance_name=instance_name,
        request_url=None,
    )
