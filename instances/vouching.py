"""Vouching for accounts that a support session made: until then they decide nothing about support access (S25)."""

from __future__ import annotations

from instances.directory import Acting
from instances.queries import visible
from tempadmin.accounts.models import ADMINISTRATOR, User
from tempadmin.audit.log import record
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, NotFound
from tempadmin.runtime import Runtime


def trusted_administrator(acting: Acting) -> User:
    """Lock and return the administrator who acts, if they may decide for their instance (S25, S33).

    Raises
    ------
    Forbidden
        In a support session; for unvouched, temporary and deactivated accounts; for everybody else.
    """
    if acting.request_id is not None:
        raise Forbidden("A support session changes nothing about support access.")
    user = None if acting.user_id is None else lock(User, acting.user_id)
    if user is None or user.instance_id != acting.instance_id or user.role != ADMINISTRATOR or not user.active:
        raise Forbidden("Only an administrator of this instance can do this.")
    if user.temporary or user.unvouched:
        raise Forbidden("Your account was made in a support session. An administrator must vouch for it first.")
    return user


@retried_once
def vouch(*, acting: Acting, user_id: int, runtime: Runtime) -> None:
    """Vouch for what a support session made or changed: the mark goes, the record stays.

    Raises
    ------
    Forbidden
        As ``trusted_administrator``; nobody vouches for themselves either.
    NotFound
        When there is no such person here.
    Conflict
        When there is nothing to vouch for.
    """
    with transaction():
        # Both rows are locked by ascending id: two administrators may vouch at once.
        for identity in sorted({user_id, acting.user_id or user_id}):
            lock(User, identity)
        person = trusted_administrator(acting)
        found = visible(instance_id=acting.instance_id).where(User.id == user_id)
        user = db.session.scalars(found.execution_options(populate_existing=True)).one_or_none()
        if user is None:
            raise NotFound("There is no such person here.")
        if user.id == person.id:
            raise Forbidden("Nobody vouches for their own account.")
        if not user.unvouched and user.changed_in_request_id is None:
            raise Conflict(f"There is nothing to vouch for: somebody vouched for {user.full_name} already.")
        now = runtime.now()
        user.vouched_at, user.changed_in_request_id = now, None
        record(
            "user.vouched_for",
            instance_id=acting.instance_id,
            actor=acting.actor,
            at=now,
            user_id=user.id,
            email=user.email,
        )
