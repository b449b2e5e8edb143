"""What a customer's page *Support access* shows: plain values for templates, made from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import g, url_for

from tempadmin.accounts.models import ADMINISTRATOR, User
from tickets import answers, story, watching
from tickets.decisions import Decision, decisions_of
from tickets.models import CUSTOMER_SIDE, IMPERSONATION, SUBJECT_SIDE, AccessRequest, Activity
from tickets.states import EndReason, State

OPEN_REQUESTS = "support_open_requests"


def open_requests(person: User) -> list[AccessRequest]:
    """Return what is open and concerns a person; read once a page, for banner and page alike."""
    if OPEN_REQUESTS not in g:
        setattr(g, OPEN_REQUESTS, watching.open_requests(person))
    found: list[AccessRequest] = getattr(g, OPEN_REQUESTS)
    return found


def decisions_for(
    person: User, requests: Sequence[AccessRequest], told: Mapping[int, watching.Answers]
) -> list[Decision]:
    """Return what waits for this person's answer."""
    asked = []
    for found in requests:
        if person.email == found.requester_email:
            continue
        mine = told[found.id]
        side = SUBJECT_SIDE if found.subject_id == person.id else CUSTOMER_SIDE
        if side == SUBJECT_SIDE or person.role == ADMINISTRATOR:
            asked += decisions_of(
                found, mine.of_request, mine.extension, mine.of_extension, side=side, blueprint="support"
            )
    return asked


def now_and_pending(person: User, *, may_act: bool) -> dict[str, Any]:
    """Return who is inside and what they do, what waits for an answer, and who is on the way."""
    requests = open_requests(person)
    inside = [one for one in requests if one.state == State.ACTIVE]
    activity = watching.latest_activity(inside)
    told = watching.answers_of(requests)
    decisions = decisions_for(person, requests, told) if may_act else []
    asked = {one.public_id for one in decisions}
    coming = [one for one in requests if one.state != State.ACTIVE and one.public_id not in asked]
    return {
        "inside": [_inside(one, activity[one.id], told[one.id], may_act=may_act) for one in inside],
        "decisions": decisions,
        "coming": [_coming(one, told[one.id], may_act=may_act) for one in coming],
    }


def activity_row(row: Activity) -> dict[str, Any]:
    """Return one HTTP request as the customer reads it."""
    return {
        "at": row.occurred_at,
        "did": row.did,
        "method": row.method,
        "path": row.path,
        "status": row.status,
        "refused": row.status >= 400,
    }


def history_row(found: AccessRequest) -> dict[str, Any]:
    """Return an access that is over."""
    lasted = None
    if found.started_at is not None and found.ending_at is not None:
        lasted = found.ending_at - found.started_at
    return {
        "url": url_for("support.show", public_id=found.public_id),
        "at": found.started_at or found.created_at,
        "who": found.requester_name,
        "account": found.account_name,
        "subject": found.subject_name if found.kind == IMPERSONATION else None,
        "reason": found.reason,
        "lasted": lasted,
        "requests": found.activity_count,
        "ended": story.END_WORDS[EndReason(found.end_reason)] if found.end_reason else "",
        "by": found.ended_by_name if found.ended_by_name not in (None, "tempadmin") else None,
    }


def record_of(found: AccessRequest, *, may_act: bool) -> dict[str, Any]:
    """Return everything that is known of one access."""
    told = watching.answers_of([found])[found.id]
    marked = watching.marked_accounts(instance_id=found.instance_id, request_id=found.id)
    return {
        "access": {
            **history_row(found),
            "title": story.what_it_is(found),
            "who_email": found.requester_email,
            "subject_email": found.account_email if found.kind == IMPERSONATION else None,
            "external_ticket": found.external_ticket,
            "asked_at": found.created_at,
            "started_at": found.started_at,
            "ends_at": found.ends_at,
            "ended_at": found.ending_at,
            "gone_at": found.ended_at,
            "state": found.state,
            "sentence": story.state_words(found, mine=False),
            "end_url": _end_url(found) if may_act else None,
        },
        "steps": answers.answer_steps(found, told.of_request),
        "made": [account_row(user) for user in marked],
    }


def accounts(person: User, *, may_act: bool) -> list[dict[str, Any]]:
    """Return the accounts that support sessions made or changed and that wait for somebody to vouch for them."""
    found = watching.marked_accounts(instance_id=person.instance_id)
    return [{**account_row(user), "may_vouch": may_act and user.id != person.id} for user in found]


def account_row(user: User) -> dict[str, Any]:
    """Return one such account."""
    what = "made or let in again by support" if user.unvouched else "changed by support"
    return {
        "name": user.full_name,
        "email": user.email,
        "role": user.role,
        "what": what,
        "powerless": user.unvouched and user.role == ADMINISTRATOR,
        "vouch_url": url_for("support.vouch_for", user_id=user.id),
    }


def _inside(
    found: AccessRequest, activity: Sequence[Activity], told: watching.Answers, *, may_act: bool
) -> dict[str, Any]:
    return {
        "who": found.requester_name,
        "email": found.requester_email,
        "subject": found.subject_name if found.kind == IMPERSONATION else None,
        "reason": found.reason,
        "approved_by": [one.decided_by_name for one in told.of_request if one.decided_by_name],
        "since": found.started_at,
        "ends_at": found.ends_at,
        "requests": found.activity_count,
        "activity": [activity_row(row) for row in activity],
        "url": url_for("support.show", public_id=found.public_id),
        "end_url": _end_url(found) if may_act else None,
    }


def _coming(found: AccessRequest, told: watching.Answers, *, may_act: bool) -> dict[str, Any]:
    missing = [answers.who_of(one.side, found) for one in told.of_request if one.decision is None]
    sentence = story.state_words(found, mine=False)[0]
    if found.state == State.PENDING_APPROVAL:
        sentence = f"waiting for {' and '.join(missing)}"
    return {
        "who": found.requester_name,
        "email": found.requester_email,
        "subject": found.subject_name if found.kind == IMPERSONATION else None,
        "reason": found.reason,
        "sentence": sentence,
        "until": found.lapses_at,
        "end_url": _end_url(found) if may_act else None,
        "url": url_for("support.show", public_id=found.public_id),
    }


def _end_url(found: AccessRequest) -> str | None:
    over = found.state in (State.ENDING, State.ENDED)
    return None if over else url_for("support.end", public_id=found.public_id)
