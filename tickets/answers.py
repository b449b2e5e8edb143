"""Whose yes a request needs and what they said, as steps of its time line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tempadmin.web import words
from tickets.models import (
    CUSTOMER_SIDE,
    GRANTED,
    OMNIADMIN_SIDE,
    PENDING,
    REJECTED,
    SUBJECT_SIDE,
    AccessRequest,
    Approval,
    Extension,
)
from tickets.states import State

StepKind = Literal["done", "now", "next", "failed"]


@dataclass(frozen=True)
class FormButton:
    """A button that posts."""

    url: str
    label: str
    style: str = "outline-secondary"
    get: bool = False
    """A link to a form instead: it changes nothing yet."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One point of the time line."""

    title: str
    kind: StepKind
    detail: str = ""
    at: datetime | None = None
    until: datetime | None = None
    forms: list[FormButton] = field(default_factory=list)


def who_of(side: str, request: AccessRequest) -> str:
    """Return who must answer for a side."""
    words_of = {
        OMNIADMIN_SIDE: "another omniadmin",
        CUSTOMER_SIDE: f"an administrator of {request.instance_name}",
        SUBJECT_SIDE: f"{request.subject_name or 'the user'}",
    }
    return words_of[side]


def sides_words(sides: Iterable[str], instance_name: str) -> list[str]:
    """Say, before anything is asked, whose yes an admin access needs."""
    needs = {
        OMNIADMIN_SIDE: "Another omniadmin must approve it first.",
        CUSTOMER_SIDE: f"An administrator of {instance_name} must approve it first.",
    }
    return [needs[side] for side in sorted(sides) if side in needs]


def answer_steps(request: AccessRequest, approvals: Sequence[Approval]) -> list[Step]:
    """Tell who said what, in the order in which they said it."""
    told = []
    for one in sorted(
        (one for one in approvals if one.decided_at), key=lambda one: one.decided_at or request.created_at
    ):
        title = f"{one.decided_by_name} {'said no' if one.decision == REJECTED else 'approved'}"
        note = f"“{one.note}”" if one.note else ""
        told.append(
            Step(title=title, detail=note, kind="failed" if one.decision == REJECTED else "done", at=one.decided_at)
        )
    if request.state == State.PENDING_APPROVAL:
        missing = [who_of(one.side, request) for one in approvals if one.decision is None]
        title, detail = f"Waiting for {' and '.join(missing)}", "Each was told by mail. Without an answer it lapses."
        told.append(Step(title=title, detail=detail, kind="now", until=request.lapses_at))
    return told


def extension_step(request: AccessRequest, extension: Extension | None, approvals: Sequence[Approval]) -> Step | None:
    """Tell what became of the wish for more time."""
    if extension is None:
        return None
    added = words.duration(extension.added_seconds)
    if extension.state == GRANTED:
        return Step(title=f"{added} added", detail=f"“{extension.reason}”", kind="done", at=extension.settled_at)
    if extension.state == PENDING:
        missing = " and ".join(who_of(one.side, request) for one in approvals if one.decision is None)
        detail = f"“{extension.reason}” · waiting for {missing}"
        return Step(title=f"{added} more asked for", detail=detail, kind="done", at=extension.asked_at)
    refused = next((one for one in approvals if one.decision == REJECTED), None)
    by = f"{refused.decided_by_name} said no." if refused else "The access ended before the answer."
    note = f" “{refused.note}”" if refused and refused.note else ""
    return Step(title=f"{added} more not granted", detail=by + note, kind="failed", at=extension.settled_at)
