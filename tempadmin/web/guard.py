"""Default deny: every view says where it lives and who may see it, or nobody sees it (S30).

One function runs before every view, in one order: host, rule, origin and CSRF, session, role.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from flask import Flask, abort, g, redirect, request, url_for
from flask_wtf.csrf import CSRFProtect
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response as BaseResponse

from tempadmin.accounts import login
from tempadmin.accounts.models import LoginSession
from tempadmin.errors import Forbidden
from tempadmin.runtime import application
from tempadmin.web.context import current_instance, find_instance
from tempadmin.web.security import check_origin
from tempadmin.web.targets import remember_target

V = TypeVar("V", bound=Callable[..., object])
Place = Literal["console", "customer", "every"]

RULE = "_tempadmin_rule"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HOME = "home"
FILES = ("static", "bootstrap.static")
PROBES = ("healthz", "readyz")
"""They answer under any name, and whoever asks is not looked at."""

CONFINEMENTS = "tempadmin.confinements"
USED_ELSEWHERE = "Your account is one of the product itself: these pages here are not what it is for."

Confinement = Callable[[LoginSession], str | None]
"""Gives the address of the one page of a support session whose account is used elsewhere, and nothing for any other."""

csrf = CSRFProtect()


class RowId(IntegerConverter):
    """A row's id in an address: ASCII digits, and no more of them than a database's integer has."""

    regex = "[0-9]{1,18}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Where a view answers and to whom; without ``roles`` it is public and reads no session at all."""

    place: Place
    roles: frozenset[str] = frozenset()
    support: bool = False
    """Whether support sessions may come here."""
    support_only: bool = False
    confined: bool = False
    """Whether support sessions come here whose account is used elsewhere; they come to no other view with roles."""
    quiet: bool = False
    """Whether a visit is no use of the session: a page that looks again by itself must not keep it alive."""
    optional: bool = False
    """Whether the view is public, and yet wants to know who comes, if anybody does."""
    machine: bool = False
    """Whether programs come here, with what they know in the request itself: no cookie counts, and no origin."""

    def __post_init__(self) -> None:
        """Keep apart what must never meet: a view without origin and CSRF check acts for nobody's session (S34)."""
        if self.machine and (self.reads_session or self.support):
            raise ValueError("a view for programs reads no session")

    @property
    def reads_session(self) -> bool:
        """Whether the browser's session counts here."""
        return bool(self.roles) or self.optional


def public(*, place: Place = "every") -> Callable[[V], V]:
    """Let anybody see a view; whatever session cookie comes along is not looked at."""
    return _mark(Rule(place=place))


def whoever(*, place: Place) -> Callable[[V], V]:
    """Let anybody see a view that wants to know who it is: it asks ``login.acting_session()`` itself."""
    return _mark(Rule(place=place, optional=True))


def machine(*, place: Place) -> Callable[[V], V]:
    """Let programs use a view: no cookie is read, origin and CSRF are not checked, refusals are JSON.

    Whoever posts here proves by the request itself what they may do: by a client's secret, or a token.
    """
    return _mark(Rule(place=place, machine=True))


def for_programs() -> bool:
    """Tell whether the view that this request is for is one for programs."""
    rule = rule_of(application(), request.endpoint) if request.endpoint else None
    return rule is not None and rule.machine


def allow(
    *roles: str,
    place: Place,
    support: bool = False,
    support_only: bool = False,
    confined: bool = False,
    quiet: bool = False,
) -> Callable[[V], V]:
    """Let signed-in people with one of these roles see a view; support sessions only when ``support`` says so.

    Those whose account is used elsewhere come only where ``confined`` says so, too.
    """
    return _mark(
        Rule(
            place=place,
            roles=frozenset(roles),
            support=support or support_only,
            support_only=support_only,
            confined=confined,
            quiet=quiet,
        )
    )


def confinements(app: Flask) -> list[Confinement]:
    """Return what tells of support sessions whose account is used elsewhere; a floor that knows of some adds to it."""
    return cast("list[Confinement]", app.extensions.setdefault(CONFINEMENTS, []))


def page_of_confined(session: LoginSession) -> str | None:
    """Return the address of the one page that a support session comes to, or ``None`` where it is not confined."""
    pages = (confined(session) for confined in confinements(application()))
    return next((page for page in pages if page is not None), None) if session.is_support else None


def rule_of(app: Flask, endpoint: str) -> Rule | None:
    """Return the rule of an endpoint; ``None`` means that nobody may see it."""
    return getattr(app.view_functions.get(endpoint), RULE, None)


def init_app(app: Flask) -> None:
    """Put the guard before every view."""
    app.url_map.converters["int"] = RowId
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False  # checked below, in its place in the order
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a token lives as long as the session it is bound to
    app.config["WTF_CSRF_SSL_STRICT"] = False  # check_origin() is stricter, and needs no Referer
    csrf.init_app(app)
    app.before_request(check)


def check() -> BaseResponse | None:
    """Answer instead of the view when the request may not reach it."""
    if request.endpoint in PROBES:
        return None
    g.instance = find_instance()
    if g.instance is None:
        abort(404)
    if request.endpoint in FILES:
        return None
    rule = rule_of(application(), request.endpoint) if request.endpoint else None
    if rule is None or not _is_here(rule.place):
        # The page that says so shows the way back, and a support session's try is recorded.
        g.reads_session = rule is None or not rule.machine
        abort(404)
    g.reads_session, g.quiet = rule.reads_session, rule.quiet  # first: what is refused from here on is recorded
    _refuse_nul()
    if request.method not in SAFE_METHODS:
        if not rule.machine:
            check_origin(current_instance())
            csrf.protect()
        if request.files:
            abort(400)  # no form of ours takes any, and a file where a text belongs has no words to judge
    return _check_person(rule) if rule.roles else None


def _check_person(rule: Rule) -> BaseResponse | None:
    session = login.acting_session()
    if session is None:
        if request.method not in SAFE_METHODS:
            abort(403)
        if request.method == "GET":
            remember_target(request.endpoint or "", {**(request.view_args or {}), **request.args.to_dict()})
        return redirect(url_for("accounts.sign_in_page"))
    page = None if rule.confined else page_of_confined(session)
    if page is not None:
        if request.endpoint == HOME and request.method in SAFE_METHODS:
            return redirect(page)
        raise Forbidden(USED_ELSEWHERE, next_url=page, next_label="Back to your access")
    if (session.is_support and not rule.support) or (rule.support_only and not session.is_support):
        abort(403)
    if login.person().role not in rule.roles:
        abort(403)
    return None


def _refuse_nul() -> None:
    """PostgreSQL's text holds no NUL, and no person types one: such an address names nothing."""
    if "\0" in request.path:
        abort(404)
    if any("\0" in text for pair in request.args.items(multi=True) for text in pair):
        abort(400)


def _is_here(place: Place) -> bool:
    return place == "every" or current_instance().is_default == (place == "console")


def _mark(rule: Rule) -> Callable[[V], V]:
    def mark(view: V) -> V:
        setattr(view, RULE, rule)
        return view

    return mark
