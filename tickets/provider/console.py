"""The page of an instance's OpenID client on the console. Views only translate."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import StringField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length

from instances import connecting
from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import current_runtime
from tempadmin.web.context import InstanceInfo, instance_source
from tempadmin.web.guard import allow
from tickets.provider import clients
from tickets.provider.models import LONGEST_URI

blueprint = Blueprint("openid", __name__)

LONGEST_TEXT = 12_000
LISTS = ("redirect_uris", "post_logout_redirect_uris", "groups")


class ClientForm(FlaskForm):
    """What is registered of a product; each line of a list is one of them."""

    login_uri = StringField(
        "Login address",
        description="Where the product begins its login. The browser is sent there after the entry.",
        validators=[DataRequired("Type the address where the product begins its login."), Length(max=LONGEST_URI)],
    )
    redirect_uris = TextAreaField(
        "Redirect addresses",
        description="Where codes may be sent, one on each line; compared letter by letter.",
        validators=[DataRequired("Type at least one address."), Length(max=LONGEST_TEXT)],
    )
    groups = TextAreaField(
        "Groups",
        description="What the claim groups says of whoever comes, one on each line.",
        validators=[Length(max=LONGEST_TEXT)],
    )
    backchannel_logout_uri = StringField(
        "Back-channel logout address",
        description="Where the product is told that an access is over. Without one it is not told.",
        validators=[Length(max=LONGEST_URI)],
    )
    post_logout_redirect_uris = TextAreaField(
        "Addresses after a logout",
        description="Where a logout that begins at the product may lead, one on each line.",
        validators=[Length(max=LONGEST_TEXT)],
    )
    ca_file = TextAreaField(
        "Certificates",
        description="PEM text: whom to trust when the product is told, instead of the usual authorities.",
        validators=[Length(max=100_000)],
    )
    submit = SubmitField("Save")


def init_app(app: Flask) -> None:
    """Add the page; the way to it is on the page of the instance's connection."""
    app.register_blueprint(blueprint)


@blueprint.route("/instances/<web_id>/openid", methods=["GET", "POST"])
@allow(OMNIADMIN, place="console")
def show(web_id: str) -> str | tuple[str, int]:
    """Show what is registered, and change it; a new client's secret stands in this answer alone."""
    instance = _instance(web_id)
    form = ClientForm(data=_stored(instance))
    if not form.validate_on_submit():
        return _page(instance, form), 400 if form.is_submitted() else 200
    typed = {name: value for name, value in form.data.items() if name not in ("submit", "csrf_token")}
    typed |= {name: [line.strip() for line in (typed[name] or "").splitlines() if line.strip()] for name in LISTS}
    typed |= {name: (value or "").strip() for name, value in typed.items() if name not in LISTS}
    try:
        secret = _register(instance, **typed)
    except Invalid as error:
        errors = form[error.field].errors if error.field in form else form.form_errors
        errors.append(error.message.removeprefix(f"{error.field}: ").capitalize())
        return _page(instance, form), 400
    except Conflict as error:
        form.form_errors.append(error.message)
        return _page(instance, form), 409
    return _page(instance, ClientForm(formdata=None, data=_stored(instance)), secret=secret, saved=True)


@blueprint.post("/instances/<web_id>/openid/secret")
@allow(OMNIADMIN, place="console")
def new_secret(web_id: str) -> str:
    """Make a new secret; it stands in this answer alone."""
    instance = _instance(web_id)
    if clients.registered(instance) is None:
        raise Conflict("No product is registered any more.", next_url=_url(instance), next_label="Register it")
    secret = _register(instance, anew=True)
    return _page(instance, ClientForm(formdata=None, data=_stored(instance)), secret=secret, saved=True)


@blueprint.post("/instances/<web_id>/openid/remove")
@allow(OMNIADMIN, place="console")
def remove(web_id: str) -> Response:
    """Take the client back."""
    from tickets.provider import register

    instance = _instance(web_id)
    register.remove(instance_id=instance.id, actor=login.actor(), runtime=current_runtime())
    flash(f"{instance.name} has no OpenID client any more.", "success")
    return redirect(_url(instance), 303)


def _register(instance: InstanceInfo, *, anew: bool = False, **typed: Any) -> str | None:
    from tickets.provider import register

    done = register.register(
        instance_id=instance.id,
        product=register.Product(**typed),
        new_secret_too=anew,
        actor=login.actor(),
        runtime=current_runtime(),
    )
    return done.client_secret


def _page(instance: InstanceInfo, form: ClientForm, *, secret: str | None = None, saved: bool = False) -> str:
    return render_template(
        "tickets/openid_client.html",
        target=instance,
        form=form,
        client=clients.registered(instance),
        secret=secret,
        saved=saved,
        connection_url=url_for("connection.show", web_id=instance.web_id),
        save_url=_url(instance),
        secret_url=url_for("openid.new_secret", web_id=instance.web_id),
        remove_url=url_for("openid.remove", web_id=instance.web_id),
    )


def _stored(instance: InstanceInfo) -> dict[str, str]:
    client = clients.registered(instance)
    if client is None:
        return {}
    lists = {name: "\n".join(getattr(client, name)) for name in LISTS}
    texts = {name: getattr(client, name) or "" for name in ("login_uri", "backchannel_logout_uri", "ca_file")}
    return {**lists, **texts}


def _instance(web_id: str) -> InstanceInfo:
    found = instance_source().by_id(connecting.find_customer(web_id))
    if found is None:
        raise Conflict("This instance is gone.")
    return found


def _url(instance: InstanceInfo) -> str:
    return url_for("openid.show", web_id=instance.web_id)
