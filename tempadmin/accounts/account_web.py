"""Pages of one's own account. Views only translate; a support session sees none of them (S25)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import Blueprint, Flask, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from tempadmin.accounts import login, own_factor, own_sessions, queries, reproof
from tempadmin.accounts.change_password import change_password
from tempadmin.accounts.forms import (
    AccountForm,
    AddFactorForm,
    ChangeFactorForm,
    ChangePasswordForm,
    ChangePasswordWithFactorForm,
    ProveForm,
)
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, OMNIADMIN, LoginSession
from tempadmin.accounts.picture import picture
from tempadmin.accounts.profile import set_time_zone
from tempadmin.accounts.user_agents import device_words
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import current_runtime
from tempadmin.web.context import current_instance
from tempadmin.web.guard import allow

blueprint = Blueprint("account", __name__, url_prefix="/account")
everybody = allow(MEMBER, ADMINISTRATOR, OMNIADMIN, place="every")

Answer = str | Response | tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class SessionRow:
    """One of one's own sessions, as the page shows it; this one has no ``end_url``."""

    device: str
    address: str | None
    created_at: datetime
    last_seen_at: datetime
    end_url: str | None


def init_app(app: Flask) -> None:
    """Add the pages."""
    app.register_blueprint(blueprint)


@blueprint.route("", methods=["GET", "POST"])
@everybody
def overview() -> Answer:
    """Show one's own account: what one may choose, how one proves who one is, and where one is signed in."""
    person, acting, runtime = login.person(), _acting(), current_runtime()
    form = AccountForm(time_zone=person.time_zone or "")
    if form.validate_on_submit():
        set_time_zone(user_id=person.id, time_zone=form.time_zone.data, runtime=runtime)
        flash("Saved.", "success")
        return _home()
    rows = queries.own_sessions(user_id=person.id, now=runtime.now())
    return render_template(
        "accounts/account.html",
        form=form,
        sessions=[_session_row(row, acting.id) for row in rows],
        warnings=queries.sign_out_warnings(acting),
        may_remove=person.role != OMNIADMIN,
        **queries.second_factor_facts(user_id=person.id),
    )


@blueprint.route("/password", methods=["GET", "POST"])
@everybody
def password() -> Answer:
    """Change the password."""
    person = login.person()
    enrolled = reproof.has_factor(person.id)
    form = ChangePasswordWithFactorForm() if enrolled else ChangePasswordForm()
    if form.validate_on_submit():
        try:
            change_password(
                user_id=person.id,
                session_id=_acting().id,
                present=form.present.data or "",
                new=form.password.data or "",
                answer=form.code.data if enrolled else None,
                runtime=current_runtime(),
            )
        except Invalid as error:
            _show(error, form)
        else:
            flash("Your password is changed. Your other sessions and your open accesses ended.", "success")
            return _home()
    return _page("accounts/password.html", form)


@blueprint.route("/second-factor", methods=["GET", "POST"])
@everybody
def second_factor() -> Answer:
    """Add a second factor, or put a new device in the place of the present one."""
    person, runtime = login.person(), current_runtime()
    email, issuer = person.email, current_instance().name
    enrolled = reproof.has_factor(person.id)
    form = ChangeFactorForm() if enrolled else AddFactorForm()
    if not form.sealed.data:
        form.sealed.data = own_factor.new_seed(user_id=person.id, runtime=runtime)
    sealed = form.sealed.data
    seed = own_factor.opened_seed(sealed, user_id=person.id, runtime=runtime)
    if form.validate_on_submit():
        try:
            codes = _store_factor(form, sealed)
        except Invalid as error:
            _show(error, form)
        else:
            done = "Your new device is in use" if enrolled else "Your second factor is on"
            return render_template("accounts/new_codes.html", codes=codes, done=done)
    return _page(
        "accounts/second_factor.html", form, enrolment=picture(seed, email=email, issuer=issuer), enrolled=enrolled
    )


@blueprint.route("/second-factor/remove", methods=["GET", "POST"])
@allow(MEMBER, ADMINISTRATOR, place="every")
def remove_factor() -> Answer:
    """Remove the second factor; an omniadmin cannot (S13)."""

    def remove(answer: str) -> Response:
        own_factor.remove_factor(
            user_id=login.person().id, session_id=_acting().id, answer=answer, runtime=current_runtime()
        )
        flash("Your second factor is off. You sign in with your password alone.", "success")
        return _home()

    return _proven_by_code("accounts/remove_factor.html", remove)


@blueprint.route("/recovery-codes", methods=["GET", "POST"])
@everybody
def recovery_codes() -> Answer:
    """Make new recovery codes and show them this once."""

    def renew(answer: str) -> str:
        codes = own_factor.new_recovery_codes(
            user_id=login.person().id, session_id=_acting().id, answer=answer, runtime=current_runtime()
        )
        return render_template("accounts/new_codes.html", codes=codes, done="Your new recovery codes")

    return _proven_by_code("accounts/renew_codes.html", renew)


@blueprint.post("/sessions/<int:session_id>/end")
@everybody
def end_session(session_id: int) -> Response:
    """End one of one's other sessions."""
    own_sessions.end_session(
        user_id=login.person().id, session_id=session_id, acting_id=_acting().id, runtime=current_runtime()
    )
    flash("That session is over.", "success")
    return _home()


@blueprint.post("/sessions/end-others")
@everybody
def end_other_sessions() -> Response:
    """End all sessions but this one."""
    ended = own_sessions.end_other_sessions(
        user_id=login.person().id, acting_id=_acting().id, runtime=current_runtime()
    )
    flash("All your other sessions are over." if ended else "There was no other session.", "success")
    return _home()


def _proven_by_code(template: str, change: Callable[[str], str | Response]) -> Answer:
    """Ask for the second factor, then make a change that needs nothing else."""
    form = ProveForm()
    if form.validate_on_submit():
        try:
            return change(form.code.data or "")
        except Invalid as error:
            _show(error, form)
    elif not reproof.has_factor(login.person().id):
        raise Conflict("You have no second factor.", next_url="/account/second-factor", next_label="Add one")
    return _page(template, form)


def _store_factor(form: AddFactorForm | ChangeFactorForm, sealed: str) -> list[str]:
    user_id, session_id, code = login.person().id, _acting().id, form.new_code.data or ""
    runtime = current_runtime()
    if isinstance(form, ChangeFactorForm):
        answer = form.code.data or ""
        return own_factor.change_factor(
            user_id=user_id, session_id=session_id, answer=answer, sealed=sealed, code=code, runtime=runtime
        )
    password = form.password.data or ""
    return own_factor.add_factor(
        user_id=user_id, session_id=session_id, password=password, sealed=sealed, code=code, runtime=runtime
    )


def _page(template: str, form: FlaskForm, **context: object) -> Answer:
    return render_template(template, form=form, **context), 400 if form.is_submitted() else 200


def _show(error: Invalid, form: FlaskForm) -> None:
    getattr(form, error.field or "code").errors = [error.message]


def _session_row(row: LoginSession, acting_id: int) -> SessionRow:
    end_url = None if row.id == acting_id else url_for("account.end_session", session_id=row.id)
    return SessionRow(
        device=device_words(row.user_agent),
        address=row.address,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        end_url=end_url,
    )


def _acting() -> LoginSession:
    """Return the session that makes this request; there is one behind a rule with roles."""
    return cast(LoginSession, login.acting_session())


def _home() -> Response:
    return redirect(url_for("account.overview"), 303)
