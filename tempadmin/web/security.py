"""Headers, cookies, the pre-session and the origin check: what every answer and every change has in common."""

from __future__ import annotations

import json
from typing import Any, cast

from flask import Flask, Request, Response, abort, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature
from werkzeug.wrappers import Response as BaseResponse

from tempadmin.keys import Unsealable
from tempadmin.runtime import Runtime, current_runtime
from tempadmin.web.context import InstanceInfo

SESSION_COOKIE, PRE_SESSION_COOKIE, DEVICE_COOKIE = "tempadmin_session", "tempadmin_pre", "tempadmin_device"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    # Not no-referrer: under that Chromium posts forms with "Origin: null" (S07, measured).
    "Referrer-Policy": "strict-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
HSTS = "max-age=31536000; includeSubDomains"


def init_app(app: Flask, runtime: Runtime) -> None:
    """Set the pre-session up and send the headers with every answer."""
    app.session_interface = PreSession(runtime)
    app.config["SESSION_COOKIE_NAME"] = cookie_name(PRE_SESSION_COOKIE, runtime)
    app.config.update(
        SESSION_COOKIE_SECURE=runtime.settings.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        WTF_CSRF_SECRET_KEY=runtime.keys.digest("csrf", "form tokens"),
    )
    app.after_request(add_headers)


def add_headers(response: Response) -> Response:
    """Add what S07 and S40 ask for; only static files may be stored."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if current_runtime().settings.https:
        response.headers.setdefault("Strict-Transport-Security", HSTS)
    if request.endpoint not in ("static", "bootstrap.static") or response.status_code >= 400:
        response.headers["Cache-Control"] = "no-store"
    return response


def cookie_name(name: str, runtime: Runtime) -> str:
    """Return a cookie's name; over https ``__Host-`` stops a sibling host from planting one (measured)."""
    return f"__Host-{name}" if runtime.settings.https else name


def set_cookie(response: BaseResponse, name: str, value: str, *, max_age: int | None = None) -> None:
    """Set a host-only cookie that scripts cannot read."""
    runtime = current_runtime()
    response.set_cookie(
        cookie_name(name, runtime),
        value,
        max_age=max_age,
        path="/",
        secure=runtime.settings.https,
        httponly=True,
        samesite="Lax",
    )


def delete_cookie(response: BaseResponse, name: str) -> None:
    """Take a cookie back."""
    runtime = current_runtime()
    response.delete_cookie(
        cookie_name(name, runtime), path="/", secure=runtime.settings.https, httponly=True, samesite="Lax"
    )


def read_cookie(name: str) -> str | None:
    """Return what the browser sent under a cookie's name."""
    return request.cookies.get(cookie_name(name, current_runtime()))


def check_origin(instance: InstanceInfo) -> None:
    """Refuse a change that does not come from this host's own pages: foreign, ``null`` or no origin at all (S34).

    Browsers send ``Origin`` with every form that is posted; ``Sec-Fetch-Site`` stands in where it is missing.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        if request.headers.get("Sec-Fetch-Site") != "same-origin":
            abort(403)
    elif origin.lower() != instance.url.lower() and not _is_loopback_twin(origin, instance):
        abort(403)
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403)


def _is_loopback_twin(origin: str, instance: InstanceInfo) -> bool:
    """In the demo ``127.0.0.1`` answers with the console's address in its links; its own forms are its own."""
    return (
        instance.url.startswith("http://localhost")
        and origin == instance.url.replace("//localhost", "//127.0.0.1", 1)
        and request.host.startswith("127.0.0.1")
    )


class PreSession(SecureCookieSessionInterface):
    """What a browser carries before it is signed in: sealed, so neither readable nor forgeable.

    It holds the anonymous CSRF secret and what waits for the sign-in. For a browser with a session cookie the CSRF
    secret is derived from that cookie instead, so a token is worth nothing in any other session (S34).
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        """Open the sealed cookie; an unreadable one counts as none."""
        session = cast(SecureCookieSession, super().open_session(app, request))
        cookie = request.cookies.get(cookie_name(SESSION_COOKIE, self._runtime))
        if cookie:
            dict.__setitem__(session, "csrf_token", self._runtime.keys.digest("csrf-of-session", cookie))
        return session

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Write the cookie only when something changed, and never the derived CSRF secret."""
        if not session.modified:
            return
        if request.cookies.get(cookie_name(SESSION_COOKIE, self._runtime)):
            dict.pop(session, "csrf_token", None)
        super().save_session(app, session, response)

    def get_signing_serializer(self, app: Flask) -> Any:
        """Seal instead of sign."""
        return _Sealer(self._runtime)


class _Sealer:
    def __init__(self, runtime: Runtime) -> None:
        self._keys = runtime.keys

    def dumps(self, values: object) -> str:
        return self._keys.seal("pre-session", json.dumps(values).encode(), owner="browser")

    def loads(self, sealed: str, max_age: int | None = None) -> Any:
        try:
            return json.loads(self._keys.unseal("pre-session", sealed, owner="browser"))
        except (Unsealable, ValueError) as error:
            raise BadSignature("not a pre-session of ours") from error
