"""What a customer's page *Support access* shows: plain values for templates, made from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import g, url_for
from sqlalchemy import Select

from tempadmin.accounts.models import ADMINISTRATOR, User
from tempadmin.web.paging import Page, Pages
from tickets import answers, belongings, story, watching, ways_in
from tickets.decisions import Decision, decisions_of
from tickets.models import CUSTOMER_SIDE, IMPERSONATION, SUBJECT_SIDE, AccessRequest, Activity
from tickets.states import EndReason, State
from tickets.watching import Told

NOW = "support_now"


def open_now(person: User) -> list[Told]:
    """Return what is open and concerns a person, oldest first; read once a page, for banners and page alike."""
    if NOW not in g:
        _keep(watching.told(watching.open_ids(person)))
    found: list[Told] = getattr(g, NOW)
    return found


def one(public_id: str, person: User) -> Told:
    """Return a request that a person may see; what is open comes in the same query, for ``open_now``.

    Raises
    ------
    NotFound
        When there is none, or it is none of theirs (S31).
    """
    found = watching.told(watching.id_of(public_id, person), watching.open_ids(person))
    _keep([one for one in found if one.is_open])
    return watching.the_one(found, public_id)


def open_and_past(person: User) -> tuple[Sequence[Told], Page]:
    """Return one page of what is over; what is open comes in the same query, for ``open_now``."""

    def read(statement: Select[Any], values: Mapping[str, Any], *, descending: bool) -> Sequence[Told]:
        found = watching.told(watching.open_ids(person), statement, values=values)
        _keep([one for one in found if one.is_open])
        over = [one for one in found if not one.is_open]
        return over if descending else over[::-1]

    past: Select[Any] = watching.past_ids(person)
    return Pages(past, AccessRequest.id, descending=True, read=read).fetch()


def _keep(found: list[Told]) -> None:
    setattr(g, NOW, sorted(found, key=lambda one: one.request.id))


def decisions_for(person: User, found: Sequence[Told]) -> list[Decision]:
    """Return what waits for this person's answer."""
    asked = []
    for one in found:
        request, told = one.request, one.answers
        if person.email == request.requester_email:
            continue
        side = SUBJECT_SIDE if request.subject_id == person.id else CUSTOMER_SIDE
        if side == SUBJECT_SIDE or person.role == ADMINISTRATOR:
            asked += decisions_of(
                request, told.of_request, told.extension, told.of_extension, side=side, blueprint="support"
            )
    return asked


def now_and_pending(person: User, *, may_act: bool) -> dict[str, Any]:
    """Return who is inside and what they do, what waits for an answer, and who is on the way."""
    found = open_now(person)
    inside = [one for one in found if one.request.state == State.ACTIVE]
    activity = watching.latest_activity([one.request for one in inside])
    decisions = decisions_for(person, found) if may_act else []
    asked = {one.public_id for one in decisions}
    coming = [one for one in found if one.request.state != State.ACTIVE and one.request.public_id not in asked]
    return {
        "inside": [_inside(one, activity[one.request.id], may_act=may_act) for one in inside],
        "decisions": decisions,
        "coming": [_coming(one, may_act=may_act) for one in coming],
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


def record_of(told: Told, *, may_act: bool) -> dict[str, Any]:
    """Return everything that is known of one access."""
    found = told.request
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
            "not_seen": ways_in.not_seen(found),
            "made_there": belongings.told(found),
        },
        "steps": answers.answer_steps(found, told.answers.of_request),
        "made": [account_row(user) for user in marked],
    }


def accounts(marked: Sequence[User], person: User, *, may_act: bool) -> list[dict[str, Any]]:
    """Return the accounts that support sessions made or changed and that wait for somebody to vouch for them."""
    return [{**account_row(user), "may_vouch": may_act and user.id != person.id} for user in marked]


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


def _inside(told: Told, activity: Sequence[Activity], *, may_act: bool) -> dict[str, Any]:
    found = told.request
    return {
        "who": found.requester_name,
        "email": found.requester_email,
        "subject": found.subject_name if found.kind == IMPERSONATION else None,
        "reason": found.reason,
        "approved_by": [one.decided_by_name for one in told.answers.of_request if one.decided_by_name],
        "since": found.started_at,
        "ends_at": found.ends_at,
        "requests": found.activity_count,
        "not_seen": ways_in.not_seen(found),
        "activity": [activity_row(row) for row in activity],
        "url": url_for("support.show", public_id=found.public_id),
        "end_url": _end_url(found) if may_act else None,
    }


def _coming(told: Told, *, may_act: bool) -> dict[str, Any]:
    found = told.request
    missing = [answers.who_of(one.side, found) for one in told.answers.of_request if one.decision is None]
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
