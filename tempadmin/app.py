"""The composition root: ``create_app()`` puts the floors together and starts nothing.

``tempadmin`` never imports upwards: the modules above are loaded by the names in the setting ``modules``, and each
one's ``init_app(app)`` fills the registries that the ground floor owns (design §3).
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from tempadmin import db as database
from tempadmin import health
from tempadmin.accounts import account_web, login, notices, sessions
from tempadmin.accounts import jobs as accounts_jobs
from tempadmin.accounts import web as accounts_web
from tempadmin.audit import heads, log
from tempadmin.audit import web as audit_web
from tempadmin.backup import watch
from tempadmin.clock import Clock, DatabaseClock, SystemClock
from tempadmin.engine import engine_options
from tempadmin.keys import Keys
from tempadmin.logs import init_logging
from tempadmin.metrics import web as metrics_web
from tempadmin.outbox import jobs as outbox_jobs
from tempadmin.runtime import EXTENSION, Runtime
from tempadmin.settings import Settings, SettingsError, debug_problems, load_settings, module_problems
from tempadmin.synchronise import synchronise
from tempadmin.web import errors, guard, limits, pages, probes, security

HERE = Path(__file__).parent
SHIPPED_MODULES = ("instances", "scheduler", "tickets")
LARGEST_BODY = 1_000_000


def create_app(settings: Settings | None = None, *, clock: Clock | None = None) -> Flask:
    """Build the application.

    Parameters
    ----------
    settings
        Read from environment and file when not given.
    clock
        When not given, the database's on PostgreSQL, which many machines share, and else the machine's own.

    Raises
    ------
    SettingsError
        When the settings are nonsense, a module is unknown, or debug is on (S43).
    """
    settings = settings or load_settings()
    modules = _load(settings)
    runtime = Runtime(settings=settings, clock=clock or _clock(settings), keys=Keys(settings.keys()))
    app = Flask("tempadmin", root_path=str(HERE), template_folder=str(_templates()), static_folder="static")
    app.extensions[EXTENSION] = runtime
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings.database)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]

    init_logging(app)
    database.init_app(app)
    if isinstance(runtime.clock, DatabaseClock):
        with app.app_context():
            synchronise(database.db.engine, runtime.clock)
    # In this order before every commit: the acting session's lock, then the audit heads' (design §2).
    database.before_commit(app).extend([sessions.recheck_acting, log.write_collected])

    limits.init_app(app, runtime)
    security.init_app(app, runtime)
    login.init_app(app)
    guard.init_app(app)
    pages.init_app(app)
    health.init_app(app)
    probes.init_app(app)
    errors.init_app(app)
    notices.init_app(app)
    accounts_web.init_app(app)
    account_web.init_app(app)
    accounts_jobs.init_app(app)
    audit_web.init_app(app)
    outbox_jobs.init_app(app)
    heads.init_app(app)
    watch.init_app(app)
    for module in modules:
        module.init_app(app)
    metrics_web.enable(app, runtime)
    return app


def _clock(settings: Settings) -> Clock:
    return DatabaseClock() if settings.database.startswith("postgresql") else SystemClock()


def _load(settings: Settings) -> list[ModuleType]:
    """Import the named modules, and the tables of all that are installed: every table exists always."""
    problems = debug_problems(os.environ) + module_problems(settings.modules)
    unknown = {name for name in settings.modules if not name.isidentifier() or find_spec(name) is None}
    modules = [import_module(name) for name in settings.modules if name not in unknown]
    problems += [f"modules: {one.__name__!r} has no init_app" for one in modules if not hasattr(one, "init_app")]
    if problems:
        raise SettingsError(problems)
    for name in SHIPPED_MODULES:
        if find_spec(name) is not None:
            import_module(f"{name}.models")
    return modules


def _templates() -> Path:
    """In a wheel the templates lie in the package; in a checkout beside it."""
    packaged = HERE / "templates"
    return packaged if packaged.is_dir() else HERE.parent / "templates"
