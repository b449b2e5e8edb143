"""Inviting people to an instance by mail, and again where nobody came; counted, for the mails go to strangers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from instances.directory import Acting, check_role, locked_person, record_change, support_behind
from tempadmin.accounts import invitations, throttle
from tempadmin.accounts.models import User
from tempadmin.accounts.people import add_user
from tempadmin.db import retried_once, transaction
from tempadmin.errors import Conflict
from tempadmin.outbox.queue import enqueue
from tempadmin.runtime import Runtime

INVITATION = "invitation"
MOST_INVITATIONS, MOST_SENT_AGAIN, DAY = 200, 3, timedelta(days=1)
"""Mails to strangers' addresses that an instance sends within a day, and again to one person."""


@dataclass(frozen=True, kw_only=True)
class Invited:
    """A new account, and the key of the link that opens it: mailed, and shown on a terminal where there is no mail."""

    user_id: int
    key: str


@retried_once
def invite(*, acting: Acting, email: str, full_name: str, role: str, runtime: Runtime) -> Invited:
    """Invite a new person by mail. What a support session invites is marked (S25).

    And so is what an account invites that a support session made and nobody vouched for: its hand reaches no further.

    Raises
    ------
    Invalid, Conflict
        When address, name or role cannot be taken.
    RateLimited
        When too many mails went out in this instance's name lately.
    """
    check_role(role)
    with transaction():
        now = _counted_mail(acting, runtime)
        user = add_user(
            instance_id=acting.instance_id,
            email=email,
            full_name=full_name,
            role=role,
            now=now,
            runtime=runtime,
            made_in_request_id=support_behind(acting),
        )
        key = _send(user, acting, now=now, runtime=runtime)
        record_change("user.invited", user, acting, runtime, role=role)
        return Invited(user_id=user.id, key=key)


@retried_once
def invite_again(*, acting: Acting, user_id: int, runtime: Runtime) -> None:
    """Send a new invitation to somebody who never chose a password; the former link is worthless then.

    Raises
    ------
    NotFound
        When there is no such person on this instance.
    Conflict
        When the account was opened already, or is deactivated.
    RateLimited
        When too many invitations went to this person, or out in this instance's name, lately.
    """
    with transaction():
        user, _others = locked_person(acting, user_id)
        if not can_be_invited_again(user):
            raise Conflict(
                f"{user.full_name} has opened the account, or is deactivated: there is nothing to send.",
                next_url=f"/users/{user.id}",
                next_label="Look at the person",
            )
        now = _counted_mail(acting, runtime, again_to=user.id)
        _send(user, acting, now=now, runtime=runtime)
        record_change("user.invited_again", user, acting, runtime)


def can_be_invited_again(user: User) -> bool:
    """Tell whether a person waits for an invitation: active, and never chose a password."""
    return user.active and user.password_hash is None


def _send(user: User, acting: Acting, *, now: datetime, runtime: Runtime) -> str:
    key = invitations.invite(user=user, purpose=invitations.JOIN, now=now, runtime=runtime)
    enqueue(
        INVITATION,
        recipient=user.email,
        ids={"user": user.id, "inviter": acting.actor.id or 0},
        secret=key,
        useful_until=now + invitations.LIFETIME,
        now=now,
        runtime=runtime,
    )
    return key


def _counted_mail(acting: Acting, runtime: Runtime, *, again_to: int | None = None) -> datetime:
    """Count one more mail in an instance's name, and to one person; return the time when all locks were held."""
    if acting.user_id is None:  # the command line is the operator's own
        return runtime.now()
    limits = {f"invitations:{acting.instance_id}": (MOST_INVITATIONS, "invitations were sent from here")}
    if again_to is not None:
        limits[f"invitation:{again_to}"] = (MOST_SENT_AGAIN, "more invitations were sent to this person")
    rows = throttle.locked_all(*limits, now=runtime.now())
    now = runtime.now()
    for row, (most, what) in zip(rows, limits.values(), strict=True):
        throttle.count_towards(row, now=now, most=most, within=DAY, what=what)
    return now
