"""What is said of the way in to an account that is used elsewhere: before it is asked for, and while it lasts."""

from __future__ import annotations

from instances.connectors.base import Entry
from tempadmin.errors import Unreadable
from tickets import entries
from tickets.answers import Step
from tickets.models import AccessRequest

PROMISES = {
    Entry.PANEL: "",
    Entry.CREDENTIAL: "You will get a password, shown to you once, and sign in with it at {name} itself.",
    Entry.OIDC: "You will be signed in to {name} itself; no password is asked.",
}
NOT_SEEN = "What is done at {name} itself is in its own records, and not here."


def promise(entry: Entry, name: str) -> str:
    """Say what whoever asks will get; nothing where they work in our own pages."""
    return PROMISES[entry].format(name=name)


def promise_of(request: entries.Entered) -> str:
    """As ``promise``, of a request; nothing where it cannot be read: such a row lets nobody in (S36)."""
    try:
        return promise(entries.read(request), request.instance_name)
    except Unreadable:
        return ""


def not_seen(request: AccessRequest) -> str:
    """Say to whom it concerns that what happens in a product is not seen here; nothing where it is seen."""
    try:
        return "" if entries.is_used_here(request) else NOT_SEEN.format(name=request.instance_name)
    except Unreadable:
        return ""


def came_in(request: AccessRequest) -> list[Step]:
    """Tell how somebody came in, as steps of the time line."""
    used_here = not not_seen(request)
    title = f"Signed in to {request.instance_name}" if used_here else "Came in by the one-time link"
    told = [Step(title=title, kind="done", at=request.started_at)]
    if request.activated_at is not None and not used_here:
        told.append(Step(title=f"Let in at {request.instance_name}", kind="done", at=request.activated_at))
    if request.credential_shown_at is not None:
        told.append(Step(title="Password shown, once", kind="done", at=request.credential_shown_at))
    return told


def inside(request: AccessRequest) -> str:
    """Say what whoever is inside of an account elsewhere should know, and what is wrong with it."""
    name = request.instance_name
    detail = (
        f"You work at {name} itself, so nobody here sees when you are done: no idle limit applies, and it lasts to its "
        "end. Log out on its page here when you are done; the account is deleted at once."
    )
    if request.last_error is not None:
        error = request.last_error.rstrip(".")
        again = "It is tried again by itself." if request.next_attempt_at else "It is not tried again by itself."
        what = "It has not heard of the additional time" if request.activated_at else "Nobody is let in there yet"
        detail = f"{what}. {name} said: {error}. {again} {detail}"
    return detail
