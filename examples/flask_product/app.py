"""The product put together: ``flask --app flask_product.app run``."""

from __future__ import annotations

import secrets

import click
from flask import Flask, Response
from flask_wtf import CSRFProtect
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from . import oidc, pages, scim
from .settings import Settings, from_environment
from .store import Store


def create_app(settings: Settings | None = None) -> Flask:
    """Build the product: its pages, its door for OpenID Connect, and SCIM below ``/scim/v2``."""
    settings = settings or from_environment()
    app = Flask(__name__)
    app.secret_key = settings.secret_key
    app.config.update(
        SESSION_COOKIE_NAME="product_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",  # it has to come along when the provider sends the browser back
        SESSION_COOKIE_SECURE=settings.url.startswith("https://"),
    )
    store = Store(settings.database, administrators=settings.administrators)
    csrf = CSRFProtect(app)
    pages.init_app(app, store)
    if settings.issuer:
        oidc.init_app(app, store, settings)
        csrf.exempt(oidc.back_channel)
    if settings.scim_token:
        app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]  # Flask's documented way to mount
            app.wsgi_app, {"/scim": scim.application(store, settings.scim_token)}
        )
    app.after_request(_headers)

    @app.cli.command("add-person")
    @click.argument("user_name")
    @click.option("--name", required=True)
    @click.option("--administrator", is_flag=True)
    def add_person(user_name: str, name: str, *, administrator: bool) -> None:
        """Add one of the product's own people and print the password."""
        password = secrets.token_urlsafe(12)
        store.add_person(user_name, display_name=name, password=password, administrator=administrator)
        click.echo(password)

    return app


def _headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
