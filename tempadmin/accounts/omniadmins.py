"""The life of omniadmins: made, disabled and given a new factor from the command line alone (S13, S23)."""

from __future__ import annotations

from sqlalchemy import select

from tempadmin.accounts import authority, invitations
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.accounts.people import add_user, normalised_email
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, lock, transaction
from tempadmin.errors import NotFound
from tempadmin.runtime import Runtime


def create_omniadmin(*, instance_id: int, email: str, full_name: str, runtime: Runtime) -> str:
    """Create an omniadmin without credentials; return the key of the link that opens the account.

    Raises
    ------
    Invalid
        When address or name cannot be taken.
    Conflict
        When the address has an account on the default instance.
    """
    with transaction():
        now = runtime.now()
        user = add_user(
            instance_id=instance_id, email=email, full_name=full_name, role=OMNIADMIN, now=now, runtime=runtime
        )
        key = invitations.invite(user=user, purpose=invitations.JOIN, now=now, runtime=runtime)
        record("omniadmin.created", instance_id=instance_id, actor=SERVICE, at=now, user_id=user.id, email=user.email)
    return key


def disable_omniadmin(*, instance_id: int, email: str, runtime: Runtime) -> None:
    """Disable an omniadmin: sessions and open accesses end in the same transaction (S23).

    Raises
    ------
    NotFound
        When there is no such omniadmin.
    """
    with transaction():
        user = _locked(instance_id, email)
        now = runtime.now()
        user.active = False
        authority.cut_off(
            user_id=user.id, reason=authority.DISABLED, session_reason="deactivated", actor=SERVICE, at=now
        )
        record("omniadmin.disabled", instance_id=instance_id, actor=SERVICE, at=now, user_id=user.id, email=user.email)


def reset_factor(*, instance_id: int, email: str, runtime: Runtime) -> str:
    """Make a link that enrols a new second factor; the old one works until the link is used.

    Raises
    ------
    NotFound
        When there is no such omniadmin.
    """
    with transaction():
        user = _locked(instance_id, email)
        now = runtime.now()
        # Somebody who never chose a password has nothing to prove; everybody else must know theirs.
        purpose = invitations.ENROL if user.password_hash else invitations.JOIN
        key = invitations.invite(user=user, purpose=purpose, now=now, runtime=runtime)
        record("omniadmin.factor_reset", instance_id=instance_id, actor=SERVICE, at=now, user_id=user.id)
    return key


def _locked(instance_id: int, email: str) -> User:
    query = select(User.id).where(
        User.instance_id == instance_id, User.email == normalised_email(email), User.role == OMNIADMIN
    )
    user_id = db.session.scalar(query)
    user = None if user_id is None else lock(User, user_id)
    if user is None:
        raise NotFound(f"There is no omniadmin {email}.")
    return user
