"""A request told as a time line: what is done, what is now, what is next (``../shared/pages``, picture 2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from tempadmin.errors import Unreadable
from tempadmin.web import words
from tickets import answers, ways_in
from tickets.answers import FormButton, Step, StepKind
from tickets.models import IMPERSONATION, AccessRequest, Approval, Ticket
from tickets.states import OPEN, EndReason, State

Tone = Literal["quiet", "wait", "alert", "good"]

END_WORDS: dict[EndReason, str] = {
    EndReason.LOGOUT: "Logged out",
    EndReason.CANCELLED: "Cancelled",
    EndReason.NOT_ME: "Cancelled: “this was not me”",
    EndReason.REJECTED: "Rejected",
    EndReason.LAPSED: "Lapsed unused",
    EndReason.TIME_LIMIT: "Time limit reached",
    EndReason.IDLE: "Ended: nobody was at work for too long",
    EndReason.PROVISIONING_FAILED: "The account could not be made",
    EndReason.ENDED_BY_REQUESTER: "Ended by the requester",
    EndReason.ENDED_BY_OMNIADMIN: "Ended by an omniadmin",
    EndReason.ENDED_BY_CUSTOMER: "Ended by the customer",
    EndReason.ENDED_BY_SUBJECT: "Ended by the user",
    EndReason.SUBJECT_CHANGED: "Ended: the user's account was deactivated or changed",
    EndReason.POLICY_CHANGED: "Ended: the policy of the instance became stricter",
    EndReason.REPLACED: "Ended: the same browser entered again",
    EndReason.REQUESTER_SIGNED_OUT: "Ended: the requester signed out",
    EndReason.CREDENTIALS_CHANGED: "Ended: the requester's password or second factor was changed",
    EndReason.REQUESTER_DISABLED: "Ended: the requester is no omniadmin any more",
    EndReason.INSTANCE_ARCHIVED: "Ended: the instance was archived",
    EndReason.CLEANED_UP: "Ended by the clean-up",
    EndReason.RESTORED: "Ended: the database was restored from a backup",
}

STATE_WORDS: dict[State, tuple[str, Tone]] = {
    State.PENDING_APPROVAL: ("waiting for an answer", "wait"),
    State.APPROVED: ("approved; waiting for Start", "good"),
    State.PROVISIONING: ("the account is being made", "wait"),
    State.AWAITING_CONFIRMATION: ("waiting for your second factor", "wait"),
    State.READY: ("the way in is open", "wait"),
    State.ACTIVE: ("inside", "alert"),
    State.ENDING: ("over; the account is being removed", "wait"),
    State.ENDED: ("ended; nothing is left", "quiet"),
}


def state_words(request: AccessRequest, *, mine: bool, stuck: bool = False) -> tuple[str, Tone]:
    """Return a request's state in a few words, and how loud they are."""
    try:
        state = State(request.state)
    except Unreadable:  # one such row must not hide all others (S36)
        return "this request cannot be read; run tempadmin doctor", "alert"
    if stuck:
        return "over; the account could not be removed yet", "alert"
    if state == State.ENDING and request.removed_by_hand_at is not None:
        return "over; removed by hand, not yet verified", "wait"
    if state == State.AWAITING_CONFIRMATION and not mine:
        return f"waiting for {request.requester_name}'s second factor", "wait"
    if state == State.ENDED:
        reason = END_WORDS[EndReason(request.end_reason)] if request.end_reason else "ended"
        return f"{reason[0].lower()}{reason[1:]}; nothing is left", "quiet"
    return STATE_WORDS[state]


def what_it_is(request: AccessRequest) -> str:
    """Return what was asked for, as a title says it."""
    if request.kind == IMPERSONATION:
        return f"Seeing {request.instance_name} as {request.subject_name}"
    return f"Admin access to {request.instance_name}"


def steps(
    request: AccessRequest,
    *,
    ticket: Ticket | None,
    approvals: Sequence[Approval],
    forms: dict[State, list[FormButton]],
    by_mail: bool,
) -> list[Step]:
    """Return the time line of a request."""
    told = [_asked(request), *answers.answer_steps(request, approvals), *_made(request)]
    if request.confirmed_at is not None:
        told.append(Step(title="Confirmed with a second factor", kind="done", at=request.confirmed_at))
    if request.started_at is not None:
        told += ways_in.came_in(request)
    state = State(request.state)
    if state in OPEN:
        return [*told, *_ahead(request, state, ticket, forms.get(state, []), by_mail=by_mail)]
    return [*told, *_over(request, forms.get(state, []))]


def _asked(request: AccessRequest) -> Step:
    facts = [f"“{request.reason}”", request.external_ticket, words.duration(request.duration_seconds)]
    return Step(
        title="Requested", kind="done", at=request.created_at, detail=" · ".join(fact for fact in facts if fact)
    )


def _made(request: AccessRequest) -> list[Step]:
    if request.provisioned_at is None:
        return []
    if request.kind == IMPERSONATION:
        return [Step(title="Started", kind="done", at=request.provisioned_at)]
    cannot = "cannot" if State(request.state) in OPEN and request.started_at is None else "could not"
    detail = f"Account {request.account_name} made; it {cannot} sign in yet."
    return [Step(title="Started", detail=detail, kind="done", at=request.provisioned_at)]


def _ahead(
    request: AccessRequest, state: State, ticket: Ticket | None, forms: list[FormButton], *, by_mail: bool
) -> list[Step]:
    until = ticket.expires_at if ticket is not None else None
    mail = f"We sent a link to {request.requester_email}. It works once, in the browser where you are signed in."
    here = "Open the confirmation here. It asks for a fresh code from your authenticator."
    impersonates = request.kind == IMPERSONATION
    entry = f"Sign in to {request.instance_name}" + (f" as {request.subject_name}" if impersonates else "")
    leave = Step(title="Stop impersonating" if impersonates else "Leave; the account is deleted", kind="next")
    proof = Step(title="Confirm that it is you", kind="next")
    if state == State.PENDING_APPROVAL:
        return [Step(title="Start", kind="next"), proof, Step(title=entry, kind="next"), leave]
    if state == State.APPROVED:
        detail = "Press Start when you are ready; only then the clock runs."
        now = Step(title="Start", kind="now", detail=detail, until=request.lapses_at, forms=forms)
        return [now, proof, Step(title=entry, kind="next"), leave]
    if state == State.PROVISIONING:
        detail = "This takes a few seconds. Reload this page."
        if request.last_error:
            detail = f"The directory did not take it: {request.last_error}. It is tried again."
        now = Step(title="The account is being made", kind="now", detail=detail)
        return [now, proof, Step(title=entry, kind="next"), leave]
    if state == State.AWAITING_CONFIRMATION:
        detail = mail if by_mail else here
        now = Step(title="Confirm that it is you", kind="now", detail=detail, until=until, forms=forms)
        return [now, Step(title=entry, kind="next"), leave]
    if state == State.READY:
        detail = "The one-time link was shown when you confirmed. Lost it? A new one makes the old one worthless."
        return [Step(title=entry, kind="now", detail=detail, until=until, forms=forms), leave]
    if state == State.ACTIVE:
        detail = "Log out on the instance when you are done; the account is deleted at once."
        if impersonates:
            detail = "Press “Stop impersonating” when you are done."
        elif ways_in.not_seen(request):
            detail = ways_in.inside(request)
        return [Step(title="Inside", kind="now", detail=detail, until=request.ends_at, forms=forms), leave]
    raise ValueError(f"{state} lies behind")


def _over(request: AccessRequest, forms: list[FormButton]) -> list[Step]:
    reason = EndReason(request.end_reason or EndReason.CLEANED_UP)
    failed = reason in (EndReason.PROVISIONING_FAILED, EndReason.NOT_ME)
    by = "" if request.ended_by_name in (None, "tempadmin", request.requester_name) else f"By {request.ended_by_name}."
    if request.started_at and request.ending_at:
        by += f" Inside for {words.duration(request.ending_at - request.started_at)}."
    kind: StepKind = "failed" if failed else "done"
    told = [Step(title=END_WORDS[reason], detail=by.strip(), kind=kind, at=request.ending_at)]
    if request.removed_by_hand_at is not None:
        told.append(_said_by_hand(request, request.removed_by_hand_at, forms))
    elif request.state == State.ENDING:
        tries = f"Tried {request.removal_failures} times: {request.last_error}." if request.removal_failures else ""
        told.append(Step(title="The account is being removed", detail=tries, kind="now", forms=forms))
    if request.state == State.ENDING:
        return told
    if request.account_name and request.ended_at and request.ending_at:
        took = words.duration(request.ended_at - request.ending_at)
        soon = "at once" if (request.ended_at - request.ending_at).total_seconds() < 1 else f"{took} later"
        detail = f"{request.account_name} was removed {soon}, and read back as gone."
        told.append(Step(title="Account deleted", detail=detail, kind="done", at=request.ended_at))
    elif request.kind != IMPERSONATION:
        told.append(Step(title="Nothing had been made", kind="done", at=request.ended_at))
    return told


def _said_by_hand(request: AccessRequest, said_at: datetime, forms: list[FormButton]) -> Step:
    said = f"{request.removed_by_hand_by}: “{request.removed_by_hand_reason}”"
    if request.state == State.ENDED:
        return Step(title="Removed by hand", detail=said, kind="done", at=said_at)
    waits = f"{said} – The directory has not confirmed it yet; it is asked again by itself."
    return Step(title="Removed by hand, not yet verified", detail=waits, kind="now", at=said_at, forms=forms)
