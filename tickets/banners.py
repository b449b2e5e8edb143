"""What stands above every page: for support, where they are and the way out; for whoever is asked, the question."""

from __future__ import annotations

from flask import Flask, request, url_for

from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN, LoginSession
from tempadmin.web.navigation import Banner, banner_sources
from tickets import entries, support_view
from tickets.authority import access_behind
from tickets.models import IMPERSONATION
from tickets.states import State

WARN_IDLE_SECONDS = 300
MOST_QUESTIONS = 3


def init_app(app: Flask) -> None:
    """Add the banners."""
    banner_sources(app).extend([support_banner, question_banner, watched_banner])


def support_banner(session: LoginSession) -> Banner | None:
    """Return the banner of a support session: who, where, why, how long, and the way out."""
    found = access_behind(session)
    if found is None:
        return None
    minutes = session.idle_seconds // 60
    used_here = entries.is_used_here(found)
    may_warn = used_here and session.idle_seconds > WARN_IDLE_SECONDS
    warning = f"Without a click for {minutes} min this access ends." if may_warn else None
    return Banner(
        template="tickets/_support_banner.html",
        context={
            "kind": found.kind,
            "used_here": used_here,
            "person_name": session.actor_name,
            "instance_name": found.instance_name,
            "subject_name": found.subject_name,
            "subject_email": found.account_email if found.kind == IMPERSONATION else None,
            "reason": found.reason,
            "ends_at": session.expires_at,
            "leave_url": url_for("portal.leave"),
            "idle_warning": warning,
        },
    )


def question_banner(session: LoginSession) -> Banner | None:
    """Return the banner of whoever is asked: who asks, why, **Approve** and **Reject**; not to support sessions."""
    person = login.person()
    if session.is_support or person.role == OMNIADMIN or person.unvouched:
        return None
    if request.endpoint == "support.overview":  # the page itself asks
        return None
    waiting = [
        one
        for one in support_view.open_now(person)
        if one.request.state == State.PENDING_APPROVAL and one.request.requester_email != person.email
    ]
    asked = support_view.decisions_for(person, waiting)
    if not asked:
        return None
    more = len(asked) - MOST_QUESTIONS
    context = {"decisions": asked[:MOST_QUESTIONS], "more": max(0, more), "url": url_for("support.overview")}
    return Banner(template="tickets/_question_banner.html", context=context)


def watched_banner(session: LoginSession) -> Banner | None:
    """Return the banner of a user whose pages somebody sees right now, with **End access**."""
    person = login.person()
    if session.is_support or person.role == OMNIADMIN:
        return None
    inside = [
        one.request
        for one in support_view.open_now(person)
        if one.request.state == State.ACTIVE
        and one.request.kind == IMPERSONATION
        and one.request.subject_id == person.id
    ]
    if not inside:
        return None
    context = {
        "watchers": [
            {
                "name": one.requester_name,
                "email": one.requester_email,
                "reason": one.reason,
                "ends_at": one.ends_at,
                "end_url": url_for("support.end", public_id=one.public_id),
            }
            for one in inside
        ],
        "url": url_for("support.overview"),
    }
    return Banner(template="tickets/_watched_banner.html", context=context)
