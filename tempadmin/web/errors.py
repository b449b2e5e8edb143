"""Domain errors and everything else that goes wrong, as pages: what happened, what was not lost, the next step."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from flask import Flask, g, make_response, render_template, request
from flask.globals import request_ctx
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from tempadmin import errors
from tempadmin.accounts import login
from tempadmin.db import db, is_outage
from tempadmin.web.guard import for_programs

STATUS: dict[type[errors.DomainError], int] = {
    errors.Invalid: 400,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
}
RETRY_AFTER_SECONDS = 5
RATE_LIMIT_RETRY_SECONDS = 60

TITLES = {
    400: "This could not be read",
    403: "This is not allowed",
    404: "There is nothing here",
    405: "This does not work that way",
    409: "Something has changed meanwhile",
    410: "This link has done its work",
    413: "This is too much",
    429: "Too many tries",
    500: "Something went wrong on our side",
    503: "Not available at this moment",
}
SENTENCES = {
    400: "What your browser sent could not be understood.",
    403: "Your account does not include this here.",
    404: "The address is not right, or what it named is not yours to see.",
    405: "This address takes another kind of request.",
    429: "Too much came from your network at once. Try again in a minute.",
    413: "What your browser sent is larger than this page takes.",
    500: "It was noted. Nothing was changed by halves.",
    503: "The database takes nothing at this moment. Nothing was changed by halves; try again in a few seconds.",
}
PROGRAMS = {429: "slow_down", 500: "server_error", 503: "temporarily_unavailable"}
"""The words of RFC 6749 and RFC 8628; everything else is an ``invalid_request``."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Action:
    """The next step, as a button."""

    label: str
    url: str


def init_app(app: Flask) -> None:
    """Turn errors into pages."""
    app.register_error_handler(errors.DomainError, _domain)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(SQLAlchemyError, _database)
    app.register_error_handler(Exception, _unforeseen)


def page(status: int, message: str, *, title: str | None = None, action: Action | None = None) -> Response:
    """Render the error page; without the person's name where the database goes away just then."""
    try:
        return _render(status, message, title=title, action=action)
    except SQLAlchemyError as error:
        if not is_outage(error):
            raise
        _know_nobody()
        return _render(status, message, title=title, action=action)


def _render(status: int, message: str, *, title: str | None, action: Action | None) -> Response:
    db.session.rollback()
    g.setdefault("instance", None)
    _forget_if_over()
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}
    if for_programs():
        told = {"error": PROGRAMS.get(status, "invalid_request"), "error_description": message}
        return make_response(told, status, headers)
    if request_ctx.url_adapter is None:  # the Host header is no host name at all: no page could name an address
        return make_response(f"{message}\n", status, {**headers, "Content-Type": "text/plain; charset=utf-8"})
    # Not of our own failures: what was committed before them stays.
    kept = "Nothing was changed." if request.method == "POST" and status < 500 and status != 409 else None
    return make_response(
        render_template(
            "error.html",
            status=status,
            title=title or TITLES.get(status, "This did not work"),
            message=message,
            kept=kept,
            action=action or _home(),
        ),
        status,
        headers,
    )


def _forget_if_over() -> None:
    try:
        login.forget_if_over()
    except SQLAlchemyError:
        _know_nobody()


def _know_nobody() -> None:
    """The database is what went wrong: the error page asks nothing of it, so it knows nobody."""
    db.session.rollback()
    g.reads_session = False
    g.pop("acting_session_id", None)
    g.pop("_login_user", None)


def _home() -> Action | None:
    return Action("Go to the start page", "/") if g.get("instance") is not None else None


def _domain(error: errors.DomainError) -> Response:
    if isinstance(error, errors.Unreadable):
        log.error("database.unreadable", exc_info=error)
        _know_nobody()
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    action = Action(error.next_label or "Go on", error.next_url) if error.next_url else None
    response = page(status, error.message, action=action)
    if isinstance(error, errors.RateLimited):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _csrf(_error: CSRFError) -> Response:
    message = (
        "This form belongs to another session, or its page is too old. Go back, reload the page and send it again."
    )
    return page(403, message, title="This form is out of date")


def _http(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return Response(error.get_response().get_data(), status=error.code)
    sentence = SENTENCES.get(error.code, "This did not work.")
    if error.code == 403 and g.get("acting_session_id") is None:
        sentence = "You are not signed in here, or your session is over. Sign in and try again."
    response = page(error.code, sentence)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    if error.code == 429:
        response.headers["Retry-After"] = str(RATE_LIMIT_RETRY_SECONDS)
    return response


def _database(error: SQLAlchemyError) -> Response:
    _know_nobody()
    if not is_outage(error):
        return _unforeseen(error)
    log.error("database.unavailable", error=type(getattr(error, "orig", None) or error).__name__)
    return page(503, SENTENCES[503])


def _unforeseen(error: Exception) -> Response:
    log.error("request.failed", error=type(error).__name__, exc_info=error)
    return page(500, SENTENCES[500])
