"""What the console's pages show of a request: plain values for templates, made from rows."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import url_for

from tempadmin.accounts import login
from tempadmin.outbox.queue import troubles
from tempadmin.runtime import current_runtime
from tempadmin.web import words
from tempadmin.web.context import instance_source
from tickets import answers, queries, story
from tickets.models import IMPERSONATION, OMNIADMIN_SIDE, PENDING, SUBJECT_SIDE, AccessRequest, Approval, Extension
from tickets.states import OPEN, State

PUBLIC_ID = re.compile(r"[A-Za-z0-9_-]{8,40}")


def page_of(found: AccessRequest) -> dict[str, Any]:
    """Return what a request's page shows."""
    runtime, mine = current_runtime(), found.requester_id == login.person().id
    state = State(found.state)
    ticket = queries.live_ticket(found)
    approvals, extension = queries.approvals_of(found), queries.extension_of(found)
    of_extension = [] if extension is None else queries.approvals_of(found, extension_id=extension.id)
    notes = troubles(request_id=found.id) if state == State.AWAITING_CONFIRMATION and mine else []
    steps = story.steps(
        found,
        ticket=ticket,
        approvals=approvals,
        forms=_step_forms(found, may_extend=extension is None) if mine else {},
        by_mail=runtime.settings.confirms_by_mail,
    )
    more_time = answers.extension_step(found, extension, of_extension)
    if more_time is not None:
        steps.insert(next((at for at, step in enumerate(steps) if step.title == "Inside"), len(steps)), more_time)
    return {
        "access": access_of(found),
        "steps": steps,
        "decisions": [] if mine else decisions_of(found, approvals, extension, of_extension, side=OMNIADMIN_SIDE),
        "header_forms": _header_forms(found, state, mine=mine),
        "note": f"The mail could not be sent yet ({notes[0]}). It is tried again; the request stands."
        if notes
        else None,
    }


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A question with its two buttons; the note goes with either."""

    public_id: str
    question: str
    email: str
    detail: str
    until: datetime | None
    approve_url: str
    reject_url: str


def decisions_of(
    found: AccessRequest,
    approvals: Sequence[Approval],
    extension: Extension | None,
    of_extension: Sequence[Approval],
    *,
    side: str,
    blueprint: str = "deciding",
) -> list[Decision]:
    """Return what the reader may decide for a side; the use cases judge again who they are."""
    asked = []
    who, url = found.requester_name, functools.partial(url_for, public_id=found.public_id)
    if found.state == State.PENDING_APPROVAL and any(one.side == side and one.decision is None for one in approvals):
        what = "to see what you see" if side == SUBJECT_SIDE else "for admin access"
        facts = [f"“{found.reason}”", words.duration(found.duration_seconds), found.external_ticket]
        asked.append(
            Decision(
                public_id=found.public_id,
                question=f"{who} asks {what}",
                email=found.requester_email,
                detail=" · ".join(fact for fact in facts if fact),
                until=found.lapses_at,
                approve_url=url(f"{blueprint}.say_yes"),
                reject_url=url(f"{blueprint}.say_no"),
            )
        )
    waiting = extension is not None and extension.state == PENDING and found.state == State.ACTIVE
    if extension and waiting and any(one.side == side and one.decision is None for one in of_extension):
        asked.append(
            Decision(
                public_id=found.public_id,
                email=found.requester_email,
                question=f"{who} asks for {words.duration(extension.added_seconds)} more",
                detail=f"“{extension.reason}”",
                until=found.ends_at,
                approve_url=url(f"{blueprint}.say_yes_to_more_time", extension_id=extension.id),
                reject_url=url(f"{blueprint}.say_no_to_more_time", extension_id=extension.id),
            )
        )
    return asked


def _step_forms(found: AccessRequest, *, may_extend: bool) -> dict[State, list[answers.FormButton]]:
    by_mail = current_runtime().settings.confirms_by_mail
    endpoint, label = ("console.send_again", "Send again") if by_mail else ("entry.open_confirmation", "Confirm")
    more_time = answers.FormButton(
        url_for("deciding.more_time", public_id=found.public_id), "Ask for more time", get=True
    )
    return {
        State.APPROVED: [
            answers.FormButton(url_for("deciding.start_approved", public_id=found.public_id), "Start", "primary")
        ],
        State.ACTIVE: [more_time] if may_extend else [],
        State.AWAITING_CONFIRMATION: [answers.FormButton(url_for(endpoint, public_id=found.public_id), label)],
        State.READY: [answers.FormButton(url_for("entry.new_link", public_id=found.public_id), "New sign-in link")],
    }


def _header_forms(found: AccessRequest, state: State, *, mine: bool) -> list[answers.FormButton]:
    if state not in OPEN:
        return []
    if mine and state != State.ACTIVE:
        return [answers.FormButton(url_for("console.cancel", public_id=found.public_id), "Cancel", "outline-danger")]
    return [answers.FormButton(url_for("console.end", public_id=found.public_id), "End access", "danger")]


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
