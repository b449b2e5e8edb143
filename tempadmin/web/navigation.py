"""What stands in the bar, and above it: modules register their entries and banners here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from flask import Flask, request, url_for

from tempadmin.accounts import login
from tempadmin.accounts.models import LoginSession
from tempadmin.runtime import application
from tempadmin.web.context import current_instance
from tempadmin.web.guard import page_of_confined, rule_of

ITEMS, BANNERS = "tempadmin.navigation", "tempadmin.banners"


@dataclass(frozen=True, kw_only=True)
class Item:
    """An entry of the bar; who sees it follows from its view's own rule."""

    label: str
    endpoint: str
    description: str
    order: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry as a page shows it."""

    label: str
    url: str
    description: str
    current: bool


@dataclass(frozen=True, kw_only=True)
class Banner:
    """A template that stands above everything, with its words."""

    template: str
    context: dict[str, Any] = field(default_factory=dict)


BannerSource = Callable[[LoginSession], "Banner | None"]


def items(app: Flask) -> list[Item]:
    """Return the registered entries."""
    return cast("list[Item]", app.extensions.setdefault(ITEMS, []))


def banner_sources(app: Flask) -> list[BannerSource]:
    """Return what may put a banner above a signed-in person's pages."""
    return cast("list[BannerSource]", app.extensions.setdefault(BANNERS, []))


def entries() -> list[Entry]:
    """Return the entries that the signed-in person may follow here."""
    session = login.acting_session()
    if session is None:
        return []
    app, confined = application(), page_of_confined(session) is not None
    place = "console" if current_instance().is_default else "customer"
    shown = []
    for item in sorted(items(app), key=lambda one: one.order):
        rule = rule_of(app, item.endpoint)
        if rule is None or rule.place not in ("every", place) or login.person().role not in rule.roles:
            continue
        if session.is_support and (not rule.support or (confined and not rule.confined)):
            continue
        url = url_for(item.endpoint)
        current = request.path == url or request.path.startswith(url + "/")
        shown.append(Entry(label=item.label, url=url, description=item.description, current=current))
    return shown


def banners() -> list[Banner]:
    """Return the banners of this page."""
    session = login.acting_session()
    if session is None:
        return []
    found = [source(session) for source in banner_sources(application())]
    return [banner for banner in found if banner is not None]
