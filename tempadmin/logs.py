"""JSON logs on standard error, one line per event, each with its request's id; never a query string (S07, P12)."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from typing import Any

import structlog
from flask import Flask, Response, g, request
from structlog.typing import EventDict, WrappedLogger

SECRET_PARAMETER = re.compile(
    r"\b(key|code|challenge|password|(?:client_)?secret|code_verifier|(?:access_|id_|logout_)?token(?:_hint)?)"
    r"=[^&\s\"']+"
)

log = structlog.get_logger()


def init_logging(app: Flask) -> None:
    """Set structlog and the standard library's logging up, and log each request."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    app.before_request(_begin)
    app.after_request(_end)


def only_warnings() -> None:
    """Say nothing but warnings and errors: for a terminal that a person reads."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut the values of secret parameters out of everything that is logged."""
    return {name: _redacted(value) for name, value in event.items()}


def _redacted(value: Any) -> Any:
    return SECRET_PARAMETER.sub(r"\1=[redacted]", value) if isinstance(value, str) else value


def _begin() -> None:
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=uuid.uuid4().hex[:16])


def _end(response: Response) -> Response:
    if request.endpoint not in ("static", "bootstrap.static", "healthz", "readyz"):
        log.info(
            "request",
            method=request.method,
            host=request.host,
            path=request.path,
            status=response.status_code,
            ms=round((time.perf_counter() - g.get("began", time.perf_counter())) * 1000, 1),
        )
    return response
