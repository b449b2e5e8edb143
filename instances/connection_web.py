"""The page of an instance's connection to its product's directory. Views only translate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Flask, render_template, request, url_for
from flask_wtf import FlaskForm
from sqlalchemy import select

from instances import connecting, connection_forms
from instances.actions import Listed, RowAction, addresses, instance_list
from instances.connection_facts import connection_facts
from instances.connection_trial import check_connection, settings_of
from instances.connectors.base import ConnectorError
from instances.connectors.registry import connector_for, kinds
from instances.connectors.settings import ConnectorSettings, WrongSettings
from instances.models import Connection, VirtualInstance
from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.db import db
from tempadmin.errors import Conflict
from tempadmin.runtime import application, current_runtime
from tempadmin.web.guard import allow

blueprint = Blueprint("connection", __name__)

LABELS = {"local": "Kept here", "scim": "SCIM 2.0", "ldap": "LDAP", "postgresql": "PostgreSQL"}


class _Plain(FlaskForm):
    """The form of a connector without settings: its button alone."""


@dataclass
class _Tried:
    """What trying a connection came to."""

    steps: list[str] = field(default_factory=list)
    failure: str | None = None
    done: str | None = None


def init_app(app: Flask) -> None:
    """Add the page, and the way to it."""
    app.register_blueprint(blueprint)
    instance_list(app).actions.append(RowAction(label="Connection", urls=_urls, minor=True))


@blueprint.route("/instances/<web_id>/connection", methods=["GET", "POST"])
@allow(OMNIADMIN, place="console")
def show(web_id: str) -> str | tuple[str, int]:
    """Show how an instance is connected, and change it; what is typed is tried before it is saved."""
    target = _target(web_id)
    chosen = request.args.get("connector", target.connector)
    if chosen not in {*kinds(), target.connector}:
        chosen = target.connector
    kind, missing = _settings_of(chosen)
    stored = connecting.stored_of(target.id, chosen)
    form = _Plain() if kind is None else connection_forms.form_of(kind, stored)
    tried, status = _Tried(), 200
    if form.is_submitted():
        status = _save(web_id, chosen, form, kind, tried)
        if status == 200 and kind is not None:
            form = connection_forms.form_of(kind, connecting.stored_of(target.id, chosen), fresh=True)
    return _page(web_id, chosen, form, tried, missing=missing), status


@blueprint.post("/instances/<web_id>/connection/check")
@allow(OMNIADMIN, place="console")
def check(web_id: str) -> str:
    """Try the stored connection, and show each step; nothing changes by it."""
    target, tried = _target(web_id), _Tried()
    try:
        for step in check_connection(instance_id=target.id):
            tried.steps.append(step)
        tried.done = "All of this went well; nothing was changed there."
    except ConnectorError as error:
        tried.failure = f"{error.setting}: {error}" if error.setting else str(error)
    kind, missing = _settings_of(target.connector)
    stored = connecting.stored_of(target.id, target.connector)
    form = _Plain() if kind is None else connection_forms.form_of(kind, stored, fresh=True)
    return _page(web_id, target.connector, form, tried, missing=missing)


def _save(web_id: str, chosen: str, form: FlaskForm, kind: type[ConnectorSettings] | None, tried: _Tried) -> int:
    """Try and save what was typed; return the status of the page that says how that went."""
    try:
        connecting.connect_instance(
            web_id=web_id,
            connector=chosen,
            values={} if kind is None else connection_forms.typed(form, kind),
            actor=login.actor(),
            runtime=current_runtime(),
            tell=tried.steps.append,
        )
    except (WrongSettings, ConnectorError) as error:
        connection_forms.show_problems(form, error)
        tried.failure = str(error) if isinstance(error, ConnectorError) else None
        status = 400
    except Conflict as error:
        form.form_errors.append(error.message)
        status = 409
    else:
        tried.done = "Saved. It holds from the next call on."
        return 200
    connection_forms.ask_for_secrets_again(form)
    return status


def _page(web_id: str, chosen: str, form: FlaskForm, tried: _Tried, *, missing: str | None) -> str:
    target = _target(web_id)
    changed_at = db.session.scalar(select(Connection.changed_at).where(Connection.instance_id == target.id))
    tabs = [
        {"label": _label(name), "url": _url(target, connector=name), "current": name == chosen}
        for name in dict.fromkeys([*kinds(), target.connector])
    ]
    context: dict[str, Any] = {
        "target": target,
        "present": _label(target.connector),
        "chosen": _label(chosen),
        "is_present": chosen == target.connector,
        "elsewhere": target.connector != "local",
        "changed_at": changed_at,
        "facts": [fact for tell in connection_facts(application()) for fact in tell(target)],
        "tabs": tabs,
        "form": form,
        "fields": [one for one in form if one.name.startswith(connection_forms.SETTING)],
        "forget": connection_forms.FORGET,
        "setting": connection_forms.SETTING,
        "tried": tried,
        "missing": missing,
        "save_url": _url(target, connector=chosen),
        "check_url": url_for("connection.check", web_id=web_id),
    }
    return render_template("instances/connection.html", **context)


def _settings_of(connector: str) -> tuple[type[ConnectorSettings] | None, str | None]:
    """Return the class of a connector's settings, or why it cannot be used."""
    try:
        return settings_of(connector_for(connector)), None
    except ConnectorError as error:
        return None, str(error)


def _target(web_id: str) -> VirtualInstance:
    return db.session.get_one(VirtualInstance, connecting.find_customer(web_id))


def _label(connector: str) -> str:
    return LABELS.get(connector, connector.capitalize())


def _urls(instances: Sequence[Listed]) -> Mapping[int, str]:
    shown = (one for one in instances if not one.is_default and one.archived_at is None)
    return addresses("connection.show", shown)


def _url(instance: VirtualInstance, connector: str) -> str | None:
    if instance.is_default or instance.archived_at is not None:
        return None
    return url_for("connection.show", web_id=instance.web_id, connector=connector)
