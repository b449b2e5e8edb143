"""What the console's pages show of a request: plain values for templates, made from rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import url_for

from tempadmin.accounts import login
from tempadmin.db import db
from tempadmin.errors import Conflict
from tempadmin.outbox.queries import trouble
from tempadmin.runtime import current_runtime
from tempadmin.web import words
from tempadmin.web.context import instance_source
from tickets import answers, belongings, queries, retention, story, ways_in
from tickets.decisions import decisions_of
from tickets.models import IMPERSONATION, OMNIADMIN_SIDE, AccessRequest
from tickets.notices import CONFIRM_ACCESS
from tickets.states import OPEN, State

PUBLIC_ID = re.compile(r"[A-Za-z0-9_-]{8,40}")


def page_of(found: AccessRequest) -> dict[str, Any]:
    """Return what a request's page shows."""
    runtime, mine = current_runtime(), found.requester_id == login.person().id
    state = State(found.state)
    ticket = queries.live_ticket(found)
    approvals, extension = queries.approvals_of(found), queries.extension_of(found)
    of_extension = [] if extension is None else queries.approvals_of(found, extension_id=extension.id)
    steps = story.steps(
        found,
        ticket=ticket,
        approvals=approvals,
        forms=(_step_forms(found, may_extend=extension is None) if mine else {}) | _removal_forms(found),
        by_mail=runtime.settings.confirms_by_mail,
    )
    more_time = answers.extension_step(found, extension, of_extension)
    if more_time is not None:
        steps.insert(next((at for at, step in enumerate(steps) if step.title == "Inside"), len(steps)), more_time)
    made = None if state in OPEN else belongings.told(found)
    if made is not None:
        step = answers.Step(title=f"What it had made at {found.instance_name}", detail=made, kind="done")
        steps.insert(next(at for at, one in enumerate(steps) if one.title in story.END_WORDS.values()) + 1, step)
    return {
        "access": access_of(found),
        "steps": steps,
        "decisions": [] if mine else decisions_of(found, approvals, extension, of_extension, side=OMNIADMIN_SIDE),
        "header_forms": _header_forms(found, state, mine=mine),
        "archived": retention.record_archived(found),
        "note": _mail_note(found) if state == State.AWAITING_CONFIRMATION and mine else None,
    }


def _mail_note(found: AccessRequest) -> str | None:
    """Say why the confirmation mail has not gone out, what happens next, and what one can do."""
    what = trouble(CONFIRM_ACCESS, request_id=found.id)
    if what is None:
        return None
    person, now = login.person(), current_runtime().now()
    if what.again_at is None:
        return (
            f"The mail was not sent: {what.error}. It is not tried again. Your request stands: when the trouble is "
            "mended press Send again, or cancel the request."
        )
    zone = words.zone(person.time_zone)
    at = words.moment(max(what.again_at, now), reader=zone, now=now, style="time")
    return (
        f"The mail could not be sent yet: {what.error}. Your request stands, and the mail is tried again by itself, "
        f"next at {at}{'' if person.time_zone else ' UTC'}. You can also press Send again, or cancel the request."
    )


def _step_forms(found: AccessRequest, *, may_extend: bool) -> dict[State, list[answers.FormButton]]:
    by_mail = current_runtime().settings.confirms_by_mail
    endpoint, label = ("console.send_again", "Send again") if by_mail else ("entry.open_confirmation", "Confirm")
    more_time = answers.FormButton(
        url_for("deciding.ask_for_more", public_id=found.public_id), "Ask for more time", get=True
    )
    return {
        State.APPROVED: [
            answers.FormButton(url_for("deciding.start_approved", public_id=found.public_id), "Start", "primary")
        ],
        State.ACTIVE: [*_way_back(found), *([more_time] if may_extend else [])],
        State.AWAITING_CONFIRMATION: [answers.FormButton(url_for(endpoint, public_id=found.public_id), label)],
        State.READY: [answers.FormButton(url_for("entry.new_link", public_id=found.public_id), "New sign-in link")],
    }


def _way_back(found: AccessRequest) -> list[answers.FormButton]:
    """Return the way to the page of an access whose account is used elsewhere; from there it goes on."""
    instance = instance_source().by_id(found.instance_id)
    if instance is None or not ways_in.not_seen(found):
        return []
    return [answers.FormButton(instance.url + url_for("inside.overview"), "Open its page", get=True)]


def _removal_forms(found: AccessRequest) -> dict[State, list[answers.FormButton]]:
    """Return what any omniadmin can do about a removal that did not go through at once."""
    if found.state != State.ENDING:
        return {}
    forms = [answers.FormButton(url_for("removing.retry", public_id=found.public_id), "Retry now")]
    if found.removed_by_hand_at is None:
        by_hand = url_for("removing.removed_by_hand", public_id=found.public_id)
        forms.append(answers.FormButton(by_hand, "Removed by hand", get=True))
    return {State.ENDING: forms}


def _header_forms(found: AccessRequest, state: State, *, mine: bool) -> list[answers.FormButton]:
    if state not in OPEN:
        return []
    if mine and state != State.ACTIVE:
        return [answers.FormButton(url_for("console.cancel", public_id=found.public_id), "Cancel", "outline-danger")]
    return [answers.FormButton(url_for("console.end", public_id=found.public_id), "End access", "danger")]


@contextmanager
def stale_buttons_explained(found: AccessRequest, *, page: str = "console.show") -> Iterator[None]:
    """Let a button that came too late say how the request stands now, with the way to its page."""
    public_id = found.public_id
    try:
        yield
    except Conflict as error:
        db.session.rollback()
        present = queries.by_public_id(public_id)
        sentence, _tone = story.state_words(present, mine=present.requester_id == login.person().id)
        raise Conflict(
            f"{error.message} The request is now: {sentence}.",
            next_url=url_for(page, public_id=public_id),
            next_label="Open the request",
        ) from None


def access_of(found: AccessRequest) -> dict[str, Any]:
    """Return a request's facts."""
    mine = found.requester_id == login.person().id
    stuck = queries.needs_attention(found, now=current_runtime().now())
    sentence, tone = story.state_words(found, mine=mine, stuck=stuck)
    instance = instance_source().by_id(found.instance_id)
    return {
        "title": story.what_it_is(found),
        "kind": found.kind,
        "subject_name": found.subject_name,
        "subject_email": found.account_email if found.kind == IMPERSONATION else None,
        "instance_name": found.instance_name,
        "host": instance.url.partition("//")[2] if instance else "",
        "reason": found.reason,
        "external_ticket": found.external_ticket,
        "duration": found.duration_seconds,
        "account_name": found.account_name,
        "way_in": ways_in.promise_of(found),
        "created_at": found.created_at,
        "requester_name": found.requester_name,
        "mine": mine,
        "url": url_for("console.show", public_id=found.public_id),
        "state": found.state,
        "state_sentence": sentence,
        "tone": tone,
    }


def row_of(found: AccessRequest, person_id: int) -> dict[str, Any]:
    """Return a request as a row of the list."""
    stuck = queries.needs_attention(found, now=current_runtime().now())
    sentence, tone = story.state_words(found, mine=found.requester_id == person_id, stuck=stuck)
    return {
        "url": url_for("console.show", public_id=found.public_id),
        "instance_name": found.instance_name,
        "subject_name": found.subject_name,
        "requester_name": found.requester_name,
        "state_sentence": sentence,
        "tone": tone,
        "created_at": found.created_at,
        "reason": found.reason,
    }
