"""The people of an instance, changed by its administrators or in a support session.

Two rules hold in every use case, whatever the page showed: a temporary administrator is not there (P6), and a support
session never changes role, address, password or factor of an account that exists (S25).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_

from instances.queries import visible
from tempadmin.accounts import invitations, sessions, throttle
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, OMNIADMIN, User
from tempadmin.accounts.people import add_user, cleaned_name, refuse_reserved
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, Invalid, NotFound
from tempadmin.outbox.queue import enqueue
from tempadmin.runtime import Runtime

INVITATION = "invitation"
ROLES = (MEMBER, ADMINISTRATOR)
MOST_INVITATIONS, MOST_SENT_AGAIN, DAY = 200, 3, timedelta(days=1)
"""Mails to strangers' addresses that an instance sends within a day, and again to one person."""


@dataclass(frozen=True, kw_only=True)
class Acting:
    """Who changes something: the account, the real person, and the request of a support session."""

    user_id: int | None
    """``None`` on the command line."""
    instance_id: int
    actor: Actor
    request_id: int | None


@dataclass(frozen=True, kw_only=True)
class Invited:
    """A new account, and the key of the link that opens it: mailed, and shown on a terminal where there is no mail."""

    user_id: int
    key: str


@retried_once
def invite(*, acting: Acting, email: str, full_name: str, role: str, runtime: Runtime) -> Invited:
    """Invite a new person by mail. What a support session invites is marked (S25).

    Raises
    ------
    Invalid, Conflict
        When address, name or role cannot be taken.
    RateLimited
        When too many mails went out in this instance's name lately.
    """
    _check_role(role)
    with transaction():
        now = _counted_mail(acting, runtime)
        user = add_user(
            instance_id=acting.instance_id,
            email=email,
            full_name=full_name,
            role=role,
            now=now,
            runtime=runtime,
            made_in_request_id=acting.request_id,
        )
        key = _send(user, acting, now=now, runtime=runtime)
        _record("user.invited", user, acting, runtime, role=role)
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
        user, _others = _locked(acting, user_id)
        if not can_be_invited_again(user):
            raise Conflict(
                f"{user.full_name} has opened the account, or is deactivated: there is nothing to send.",
                next_url=f"/users/{user.id}",
                next_label="Look at the person",
            )
        now = _counted_mail(acting, runtime, again_to=user.id)
        _send(user, acting, now=now, runtime=runtime)
        _record("user.invited_again", user, acting, runtime)


def can_be_invited_again(user: User) -> bool:
    """Tell whether a person waits for an invitation: active, and never chose a password."""
    return user.active and user.password_hash is None


@retried_once
def edit(*, acting: Acting, user_id: int, full_name: str, role: str | None, runtime: Runtime) -> None:
    """Change a person's name or role; ``None`` leaves the role as it is.

    Raises
    ------
    NotFound
        When there is no such person on this instance.
    Forbidden
        When a support session would change a role (S25).
    Invalid, Conflict
        When the name cannot be taken, or the last administrator would lose the role.
    """
    if role is not None:
        _check_role(role)
    with transaction():
        user, others = _locked(acting, user_id)
        full_name = cleaned_name(full_name)
        refuse_reserved(email=user.email, full_name=full_name, settings=runtime.settings)
        if role is not None and role != user.role:
            if acting.request_id is not None:
                raise Forbidden("A support session cannot change anybody's role. An administrator here can.")
            _keep_an_administrator(user, others)
            user.role = role
            sessions.revoke(sessions.live_ids(user_id=user.id), reason="role_changed", now=runtime.now())
        user.full_name = full_name
        _record("user.edited", user, acting, runtime, name=full_name, role=user.role)


@retried_once
def deactivate(*, acting: Acting, user_id: int, runtime: Runtime) -> None:
    """Keep a person out: their sessions end in the same transaction (S23).

    Raises
    ------
    NotFound
        When there is no such person on this instance.
    Conflict
        When it is oneself, the last active administrator, or somebody who is deactivated already.
    """
    with transaction():
        user, others = _locked(acting, user_id)
        if user.id == acting.user_id:
            raise Conflict("You cannot deactivate yourself. Another administrator can.")
        if not user.active:
            raise Conflict(f"{user.full_name} is deactivated already.")
        _keep_an_administrator(user, others)
        user.active = False
        sessions.revoke(sessions.live_ids(user_id=user.id), reason="deactivated", now=runtime.now())
        _record("user.deactivated", user, acting, runtime)


@retried_once
def activate(*, acting: Acting, user_id: int, runtime: Runtime) -> None:
    """Let a person in again.

    Raises
    ------
    NotFound
        When there is no such person on this instance.
    Conflict
        When somebody else let them in a moment ago.
    """
    with transaction():
        user, _others = _locked(acting, user_id)
        if user.active:
            raise Conflict(f"{user.full_name} is active already.")
        user.active = True
        _record("user.activated", user, acting, runtime)


def _locked(acting: Acting, user_id: int) -> tuple[User, list[User]]:
    """Lock a visible person of this instance, and its administrators; return both, the person apart.

    Everybody else does not exist here (P6, S31). The administrators are locked with the person, by ascending id: of
    two who would take each other's role at once, the second sees what the first did.
    """
    query = visible(instance_id=acting.instance_id).where(or_(User.id == user_id, User.role == ADMINISTRATOR))
    locked = query.order_by(User.id).with_for_update().execution_options(populate_existing=True)
    rows = {row.id: row for row in db.session.scalars(locked)}
    user = rows.pop(user_id, None)
    if user is None:
        raise NotFound("There is no such person here.")
    if user.role == OMNIADMIN:
        raise Conflict(f"{user.full_name} is an omniadmin. Use: tempadmin omniadmin.")
    return user, list(rows.values())


def _keep_an_administrator(user: User, others: list[User]) -> None:
    if user.role != ADMINISTRATOR or not user.active:
        return
    # Under READ COMMITTED a row that was waited for may have lost the role meanwhile.
    if not any(other.role == ADMINISTRATOR and other.active for other in others):
        raise Conflict(f"{user.full_name} is the last active administrator here. Make somebody else one first.")


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


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise Invalid("Choose member or administrator.", field="role")


def _record(event: str, user: User, acting: Acting, runtime: Runtime, **details: str) -> None:
    record(
        event,
        instance_id=acting.instance_id,
        actor=acting.actor,
        at=runtime.now(),
        request_id=acting.request_id,
        user_id=user.id,
        email=user.email,
        **details,
    )
