"""What people see: the start page, signing in with a password, signing out, the administrators' page."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec

from flask import Blueprint, Flask, abort, current_app, g, redirect, render_template, request, session, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from .store import Store, Visit

EIGHT_HOURS = 8 * 3600
COOKIE = "visit"
P = ParamSpec("P")

bp = Blueprint("pages", __name__)


def init_app(app: Flask, store: Store) -> None:
    """Add the pages; every request looks up anew who is signed in."""
    app.extensions["store"] = store
    app.register_blueprint(bp)
    app.before_request(_look_who_it_is)
    app.register_error_handler(HTTPException, _problem)
    app.add_template_filter(lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"), "time")


def sign_in(secret: str) -> None:
    """Let this browser be in the session that the secret opens; whatever it was in before ends."""
    visit: Visit | None = g.visit
    if visit is not None:
        _store().end_session(visit.key)
    session.clear()
    session[COOKIE] = secret


def administrators_only(view: Callable[P, str]) -> Callable[P, str]:
    """Answer 403 to everybody else."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> str:
        if g.visit is None or not g.visit.administrator:
            abort(403, "This page is for administrators.")
        return view(*args, **kwargs)

    return guarded


@bp.get("/")
def home() -> str:
    """Say who one is here, and for how long; or ask."""
    return render_template("home.html" if g.visit else "sign_in.html")


@bp.post("/sign-in")
def password_sign_in() -> tuple[str, int] | Response:
    """Sign one of the product's own people in."""
    person = _store().person_with_password(request.form.get("user_name", ""), request.form.get("password", ""))
    if person is None:
        return render_template("sign_in.html", wrong=True), 401
    sign_in(_store().open_session(person, expires_at=time.time() + EIGHT_HOURS))
    return redirect(url_for("pages.home"))


@bp.post("/sign-out")
def sign_out() -> Response:
    """Sign out here, and at the provider where the visit came from there."""
    visit: Visit | None = g.visit
    session.clear()
    if visit is None:
        return redirect(url_for("pages.home"))
    _store().end_session(visit.key)
    if visit.id_token is None:
        return redirect(url_for("pages.home"))
    return redirect(current_app.extensions["door"].farewell(visit.id_token))


@bp.get("/admin")
@administrators_only
def admin() -> str:
    """Everybody who has an account here."""
    return render_template("admin.html", people=_store().people())


def _look_who_it_is() -> None:
    secret = session.get(COOKIE)
    g.visit = _store().visit(secret) if secret else None


def _problem(error: HTTPException) -> tuple[str, int]:
    return render_template("problem.html", error=error), error.code or 500


def _store() -> Store:
    store: Store = current_app.extensions["store"]
    return store
