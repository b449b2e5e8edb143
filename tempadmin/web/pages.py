"""What every template may use: the globals of base.html, and the filters ``when`` and ``duration``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from flask import Flask, g, render_template
from flask_bootstrap import Bootstrap5
from jinja2 import StrictUndefined
from markupsafe import Markup

from tempadmin.accounts import login
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, OMNIADMIN, User
from tempadmin.runtime import current_runtime
from tempadmin.web import navigation, words
from tempadmin.web.context import InstanceInfo
from tempadmin.web.guard import allow

bootstrap = Bootstrap5()


def init_app(app: Flask) -> None:
    """Set Jinja up and add the page that belongs to no module."""
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    bootstrap.init_app(app)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(when=when, duration=words.duration)
    app.context_processor(shared)
    app.add_url_rule("/", "home", home)


def reader() -> User | None:
    """Return the signed-in account, if any."""
    who = login.signed_in() if g.get("instance") is not None else None
    return None if who is None else who.user


def when(value: datetime, style: str = "full") -> Markup:
    """Say a moment in the time zone of whoever reads the page."""
    person, here = reader(), cast("InstanceInfo | None", g.get("instance"))
    name = (person.time_zone if person else None) or (here.time_zone if here else None)
    return words.moment_html(value, reader=words.zone(name), now=current_runtime().now(), style=style)


def shared() -> dict[str, Any]:
    """Return what base.html shows on every page."""
    person = reader()
    return {
        "instance": g.get("instance"),
        "now": current_runtime().now(),
        "person": person,
        "in_support": bool(person and (session := login.acting_session()) and session.is_support),
        "navigation": navigation.entries() if person else [],
        "banners": navigation.banners() if person else [],
    }


@allow(MEMBER, ADMINISTRATOR, OMNIADMIN, place="every", support=True)
def home() -> str:
    """Say where one is and what one can do here."""
    return render_template("home.html", items=navigation.entries())
