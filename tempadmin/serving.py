"""Serving: the database brought up to date, and gunicorn with what it needs around a fork."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication

from tempadmin import sharing
from tempadmin.accounts.people import carriers_of_reserved_names
from tempadmin.app import create_app
from tempadmin.backup import watch
from tempadmin.cli import data_option, reported, with_app
from tempadmin.db import db, writers_turns
from tempadmin.jobs import Stopper, background, before_serving
from tempadmin.logs import log, only_warnings
from tempadmin.metrics import workers
from tempadmin.runtime import Runtime, application, current_runtime
from tempadmin.schema import MIGRATIONS, is_newer, why_unusable
from tempadmin.settings import Settings, SettingsError, load_settings
from tempadmin.worker import Worker

THREADS = 4


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(serve_command)
    group.add_command(database_commands)


def upgrade_database() -> None:
    """Bring the schema to this version; needs an application context.

    Raises
    ------
    SettingsError
        When a newer version made it: nothing here knows how to go back.
    """
    # Alembic is a fifth of what there is to import, and serving needs none of it.
    from alembic import command  # noqa: PLC0415
    from flask_migrate import Migrate  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)
    if db.engine.url.database and db.engine.dialect.name == "sqlite":
        Path(db.engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    if is_newer():
        raise SettingsError([str(why_unusable())])
    config: Any = Migrate(application(), db, directory=str(MIGRATIONS)).get_config()
    command.upgrade(config, "head")


def serve(settings: Settings, *, host: str, port: int, quietly: bool = False) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    quietly
        Log warnings and errors only: a person reads this terminal.

    Raises
    ------
    SettingsError
        When the database is not at this version's schema, accounts carry reserved names (P7), or another machine works
        on the same SQLite file.
    """
    if (address := settings.metrics_address) is not None and address[1] == port:
        raise SettingsError([f"metrics_listen: the pages are served on port {port}; choose another one"])
    if settings.measures:
        workers.prepare(settings.data)
    app = create_app(settings)
    if quietly:
        only_warnings()
    with app.app_context():
        try:
            if (problem := why_unusable()) is not None:
                raise SettingsError([problem])
            if carriers := carriers_of_reserved_names(settings):
                named = ", ".join(carriers)
                raise SettingsError([f"user_prefix, user_email_domain: regular accounts carry them: {named}"])
            for look in before_serving(app):
                look(current_runtime())
            watch.look(current_runtime())  # before anybody is served from a database that was restored
        finally:
            # Forked connections would be shared by all workers.
            db.session.remove()
            db.engine.dispose()
    log.info(
        "start", base_url=settings.base_url, scheduler=settings.scheduler, cleanup_enabled=settings.cleanup_enabled
    )
    writers_turns(app).share()
    sharing.settle()
    _Server(app, settings, host=host, port=port).run()


class _Server(BaseApplication):
    """gunicorn, told in Python."""

    def __init__(self, app: Flask, settings: Settings, *, host: str, port: int) -> None:
        self._app, self._settings, self._address = app, settings, f"{host}:{port}"
        self._stoppers: list[Stopper] = []
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": [self._address, *filter(None, [self._settings.metrics_listen])],
            "workers": self._settings.workers,
            "worker_class": Worker,
            "threads": THREADS,
            "preload_app": True,
            "control_socket_disable": True,
            "graceful_timeout": 20,
            "accesslog": None,  # it would log links with their keys (S07); logs.py logs requests
            "loglevel": "warning",
            "forwarded_allow_ips": "",
            "post_fork": self._post_fork,
            "worker_exit": self._worker_exit,
            "child_exit": self._child_exit,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._app

    def _post_fork(self, _server: object, _worker: object) -> None:
        """Start the scheduler's thread in each worker: threads do not survive a fork; the lease decides who leads."""
        if self._settings.scheduler == "embedded":
            self._stoppers = [start(self._app) for start in background(self._app)]

    def _worker_exit(self, _server: object, _worker: object) -> None:
        for stop in self._stoppers:
            stop()

    def _child_exit(self, _server: object, worker: Any) -> None:
        """Keep in the master what a worker counted that is gone, however it went."""
        try:
            workers.bury(worker.pid)
        except Exception as error:  # noqa: BLE001 - its numbers are not worth the master's life
            log.exception("metrics.not_kept", error=type(error).__name__)


@click.command("serve")
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
def serve_command(data: Path | None, host: str, port: int) -> None:
    """Serve the pages, with the scheduler inside unless `scheduler = "external"`."""
    with reported():
        serve(load_settings(data), host=host, port=port)


@click.group("db")
def database_commands() -> None:
    """Prepare and upgrade the database."""


@database_commands.command("upgrade")
@with_app(any_schema=True)
def upgrade(_runtime: Runtime) -> None:
    """Bring the database to this version's schema."""
    current_runtime().settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    upgrade_database()
    click.echo("The database is at this version's schema.")
