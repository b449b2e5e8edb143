"""Proving again who one is, before one's own credentials change (S14).

A wrong password and a wrong code are counted like those at sign-in (S12), so neither an open session nor a link that
somebody found can be used to guess.
"""

from __future__ import annotations

from sqlalchemy import select

from tempadmin.accounts import factors, throttle
from tempadmin.accounts.models import LoginSession, SecondFactor, User
from tempadmin.accounts.passwords import password_is_right
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, transaction
from tempadmin.errors import Conflict, Forbidden, Invalid
from tempadmin.runtime import Runtime


def prove_password(*, user_id: int, password: str, field: str, runtime: Runtime) -> str:
    """Check a person's present password; return its hash, which ``locked_person`` compares again under lock.

    The try is counted before the password is looked at and forgotten when it was right, as at sign-in: parallel
    guesses are all counted, and no lock is held while Argon2 works.

    Raises
    ------
    Invalid
        When it is not the password; ``field`` names the form's field.
    RateLimited
        While the pause after wrong ones lasts.
    """
    key = f"password-again:{user_id}"
    with transaction():
        (row,) = throttle.locked_all(key, now=runtime.now())
        throttle.refuse_while_blocked(row, now=runtime.now())
        throttle.count_wrong(row, now=runtime.now())
    stored = db.session.scalar(select(User.password_hash).where(User.id == user_id))
    if not password_is_right(stored, password) or stored is None:
        raise Invalid("This is not your password.", field=field)
    throttle.forgive(key, runtime=runtime)
    return stored


def locked_person(user_id: int, *, session_id: int, proven: str | None = None) -> User:
    """Lock a person who may change their own credentials.

    Parameters
    ----------
    session_id
        The session that makes the change.
    proven
        What ``prove_password`` returned, where a password was asked.

    Raises
    ------
    Forbidden
        In a support session: who sees what somebody sees is not that somebody (S25).
    Conflict
        When the account, or its password, changed meanwhile.
    """
    session = db.session.get(LoginSession, session_id)
    if session is not None and session.is_support:
        raise Forbidden("A support session changes nothing of this account.")
    user = lock(User, user_id)
    if user is None or not user.active or user.temporary or (proven is not None and user.password_hash != proven):
        raise Conflict("Your account changed a moment ago. Open the page again.", next_url="/account")
    return user


def judge_factor(user: User, *, answer: str | None, runtime: Runtime) -> factors.Verdict | None:
    """Judge the second factor of a locked person inside the open transaction; ``None`` when there is none.

    The caller commits, then calls ``raise_if_refused()``, as everywhere.
    """
    if not has_factor(user.id):
        return None
    verdict = factors.judge(user_id=user.id, answer=answer or "", runtime=runtime)
    if verdict.counts_as_wrong:
        record("account.wrong_code", instance_id=user.instance_id, actor=myself(user), at=runtime.now())
    return verdict


def has_factor(user_id: int) -> bool:
    """Tell whether a person has a second factor."""
    return db.session.scalar(select(SecondFactor.id).where(SecondFactor.user_id == user_id)) is not None


def myself(user: User) -> Actor:
    """Return the person as the one who acts, for the record."""
    return Actor(id=user.id, name=user.full_name)
