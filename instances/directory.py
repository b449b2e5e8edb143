"""The people of an instance, changed by its administrators or in a support session.

Two rules hold in every use case, whatever the page showed: a temporary administrator is not there (P6), and a support
session never changes role, address, password or factor of an account that exists (S25).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import or_

from instances.queries import visible
from tempadmin.accounts import authority
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, OMNIADMIN, User
from tempadmin.accounts.people import cleaned_name, refuse_reserved
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, Invalid, NotFound
from tempadmin.runtime import Runtime

ROLES = (MEMBER, ADMINISTRATOR)


@dataclass(frozen=True, kw_only=True)
class Acting:
    """Who changes something: the account, the real person, and the request of a support session."""

    user_id: int | None
    """``None`` on the command line."""
    instance_id: int
    actor: Actor
    request_id: int | None


@retried_once
def edit(*, acting: Acting, user_id: int, full_name: str, role: str | None, runtime: Runtime) -> None:
    """Change a person's name or role; ``None`` leaves the role as it is.

    Raises
    ------
    NotFound
        When there is no such person on this instance.
    Forbidden
        When a support session would change a role, or an account that one made and nobody vouched for (S25).
    Invalid, Conflict
        When the name cannot be taken, or the last administrator would lose the role.
    """
    if role is not None:
        check_role(role)
    with transaction():
        user, others = locked_person(acting, user_id)
        full_name = cleaned_name(full_name)
        refuse_reserved(email=user.email, full_name=full_name, settings=runtime.settings)
        if role is not None and role != user.role:
            if acting.request_id is not None:
                raise Forbidden("A support session cannot change anybody's role. An administrator here can.")
            if support_behind(acting) is not None:
                raise Forbidden("Your account was made in a support session. An administrator must vouch for it first.")
            _keep_an_administrator(user, others)
            user.role = role
            authority.cut_off(
                user_id=user.id,
                reason=authority.DISABLED,
                session_reason="role_changed",
                actor=acting.actor,
                at=runtime.now(),
            )
        user.full_name = full_name
        _mark(user, acting)
        record_change("user.edited", user, acting, runtime, name=full_name, role=user.role)


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
        user, others = locked_person(acting, user_id)
        if user.id == acting.user_id:
            raise Conflict("You cannot deactivate yourself. Another administrator can.")
        if not user.active:
            raise Conflict(f"{user.full_name} is deactivated already.")
        _keep_an_administrator(user, others)
        user.active = False
        authority.cut_off(
            user_id=user.id,
            reason=authority.DISABLED,
            session_reason="deactivated",
            actor=acting.actor,
            at=runtime.now(),
        )
        _mark(user, acting)
        record_change("user.deactivated", user, acting, runtime)


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
        user, _others = locked_person(acting, user_id)
        if user.active:
            raise Conflict(f"{user.full_name} is active already.")
        user.active = True
        if (behind := support_behind(acting)) is not None:  # who is let in again decides nothing, as if new (S25)
            user.made_in_request_id, user.vouched_at = behind, None
        record_change("user.activated", user, acting, runtime)


def locked_person(acting: Acting, user_id: int) -> tuple[User, list[User]]:
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


def _mark(user: User, acting: Acting) -> None:
    """Mark what a support session changed, until an administrator vouches for it (S25)."""
    if (behind := support_behind(acting)) is not None:
        user.changed_in_request_id = behind


def support_behind(acting: Acting) -> int | None:
    """Return the request whose support session does this, itself or by an account that it made (S25)."""
    if acting.request_id is not None or acting.user_id is None:
        return acting.request_id
    user = db.session.get(User, acting.user_id)
    return user.made_in_request_id if user is not None and user.unvouched else None


def _keep_an_administrator(user: User, others: list[User]) -> None:
    if user.role != ADMINISTRATOR or not user.active:
        return
    # Under READ COMMITTED a row that was waited for may have lost the role meanwhile. And who cannot answer for the
    # instance is no administrator to be left alone with it: there would be nobody to vouch for anybody (S25).
    if not any(other.role == ADMINISTRATOR and other.active and not other.unvouched for other in others):
        raise Conflict(f"{user.full_name} is the last active administrator here. Make somebody else one first.")


def check_role(role: str) -> None:
    """Raise ``Invalid`` for what is no role of an instance."""
    if role not in ROLES:
        raise Invalid("Choose member or administrator.", field="role")


def record_change(event: str, user: User, acting: Acting, runtime: Runtime, **details: str) -> None:
    """Record what was done to a person, in the open transaction."""
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
