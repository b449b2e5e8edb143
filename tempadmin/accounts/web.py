"""Pages of signing in and out, and of invitations. Views only translate."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

from flask import Blueprint, Flask, redirect, render_template, request, session, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from tempadmin.accounts import devices, invitations, login, queries, sign_in
from tempadmin.accounts.forms import (
    CodeForm,
    EnrolWithFactorForm,
    JoinForm,
    JoinWithFactorForm,
    PasswordForm,
)
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, OMNIADMIN
from tempadmin.accounts.picture import picture
from tempadmin.accounts.sessions import SUPPORT_PREFIX, sign_out
from tempadmin.errors import Invalid, RateLimited
from tempadmin.runtime import current_runtime
from tempadmin.web.context import absolute_url, current_instance
from tempadmin.web.fields import BAD_REQUEST, slow_down
from tempadmin.web.guard import allow, public
from tempadmin.web.security import DEVICE_COOKIE, SESSION_COOKIE, delete_cookie, read_cookie, set_cookie
from tempadmin.web.targets import follow_target, waiting_name

blueprint = Blueprint("accounts", __name__)

PENDING_FOR = timedelta(minutes=10)


def init_app(app: Flask) -> None:
    """Add the pages."""
    app.register_blueprint(blueprint)


def network(address: str | None) -> str:
    """Return the network that throttles count together: /24 of IPv4, /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network(f"{parsed}/{24 if parsed.version == 4 else 64}", strict=False))


@blueprint.route("/login", methods=["GET", "POST"])
@public()
def sign_in_page() -> str | Response | tuple[str, int, dict[str, str]]:
    """First factor; whatever session cookie comes along is ignored (design §4.5)."""
    form, refused = PasswordForm(), BAD_REQUEST
    runtime = current_runtime()
    if form.validate_on_submit():
        try:
            first = sign_in.check_password(
                instance_id=current_instance().id,
                email=form.email.data or "",
                password=form.password.data or "",
                network=network(request.remote_addr),
                client=login.client(),
                runtime=runtime,
            )
        except Invalid as error:
            form.form_errors.append(error.message)
        except RateLimited as error:
            refused = slow_down(form, error)
        else:
            if not first.needs_code:
                return _enter(sign_in.finish(first=first, answer=None, client=login.client(), runtime=runtime))
            session["pending"] = {
                "user": first.user_id,
                "proof": first.proof,
                "instance": current_instance().id,
                "until": (runtime.now() + PENDING_FOR).isoformat(),
            }
            return redirect(url_for("accounts.verify_page"), 303)
    over = (read_cookie(SESSION_COOKIE) or "").startswith(SUPPORT_PREFIX) and not form.is_submitted()
    page = render_template("accounts/login.html", form=form, continue_to=waiting_name(), support_is_over=over)
    return (page, *refused) if form.errors or form.form_errors else page


@blueprint.route("/login/verify", methods=["GET", "POST"])
@public()
def verify_page() -> str | Response | tuple[str, int, dict[str, str]]:
    """Second factor, for whoever has just given the first in this browser."""
    first = _pending()
    if first is None:
        return redirect(url_for("accounts.sign_in_page"), 303)
    form, refused = CodeForm(), BAD_REQUEST
    if form.validate_on_submit():
        try:
            entered = sign_in.finish(
                first=first, answer=form.code.data, client=login.client(), runtime=current_runtime()
            )
        except Invalid as error:
            form.code.errors = [error.message]
        except RateLimited as error:
            refused = slow_down(form, error)
        else:
            return _enter(entered)
    page = render_template("accounts/verify.html", form=form)
    return (page, *refused) if form.is_submitted() else page


@blueprint.route("/logout", methods=["GET", "POST"])
@allow(MEMBER, ADMINISTRATOR, OMNIADMIN, place="every")
def sign_out_page() -> str | Response:
    """Say what ends with the session; end it. A support session has its own way out, on its banner."""
    form = FlaskForm()
    acting = login.acting_session()
    if acting is not None and form.validate_on_submit():
        sign_out(session_id=acting.id, runtime=current_runtime())
        response = redirect(url_for("accounts.sign_in_page"), 303)
        delete_cookie(response, SESSION_COOKIE)
        return response
    warnings = queries.sign_out_warnings(acting) if acting is not None else []
    return render_template("accounts/logout.html", form=form, warnings=warnings)


@blueprint.route("/welcome", methods=["GET", "POST"])
@public()
def welcome() -> str | Response | tuple[str, int]:
    """Open an account by its one-time link; looking at the page writes nothing (S02)."""
    runtime, instance = current_runtime(), current_instance()
    key = request.args.get("key", "")
    opened = invitations.look(key=key, instance_id=instance.id, runtime=runtime)
    form = _welcome_form(opened)
    seed = None
    if opened.enrols:
        if not form.sealed.data:
            form.sealed.data = invitations.sealed_seed(opened=opened, runtime=runtime)
        seed = invitations.unsealed_seed(sealed=form.sealed.data, opened=opened, runtime=runtime)
    if form.validate_on_submit():
        try:
            code = form.code.data if opened.enrols else None
            codes = invitations.accept(
                key=key, instance_id=instance.id, password=form.password.data, code=code, seed=seed, runtime=runtime
            )
        except Invalid as error:
            getattr(form, error.field or "password").errors = [error.message]
        else:
            url = absolute_url(instance, url_for("accounts.sign_in_page"))
            return render_template("accounts/recovery_codes.html", codes=codes, sign_in_url=url)
    enrolment = None if seed is None else picture(seed, email=opened.user.email, issuer=instance.name)
    page = render_template("accounts/welcome.html", invited=opened.user, enrolment=enrolment, form=form)
    return page, 400 if form.is_submitted() else 200


def _pending() -> sign_in.FirstFactor | None:
    pending = session.get("pending")
    if not isinstance(pending, dict) or pending.get("instance") != current_instance().id:
        return None
    if current_runtime().now() >= datetime.fromisoformat(pending["until"]):
        session.pop("pending")
        return None
    return sign_in.FirstFactor(user_id=pending["user"], proof=pending["proof"], needs_code=True)


def _enter(entered: sign_in.NewSession) -> Response:
    """Hand the new session's cookie over; what the browser carried before is forgotten (S21), its device is not."""
    response = follow_target()
    session.clear()
    set_cookie(response, SESSION_COOKIE, entered.secret)
    set_cookie(response, DEVICE_COOKIE, entered.device, max_age=int(devices.LIFETIME.total_seconds()))
    return response


def _welcome_form(opened: invitations.Opened) -> FlaskForm:
    if opened.purpose == invitations.JOIN:
        return JoinWithFactorForm() if opened.enrols else JoinForm()
    return EnrolWithFactorForm()
