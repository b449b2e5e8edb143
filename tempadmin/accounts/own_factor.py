"""One's own second factor: added with the password, changed and removed with the existing one (S14).

An omniadmin's is never added here, only changed: whoever has none has no session either (S13).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select

from tempadmin.accounts import authority, factors, invitations, notices, recovery, reproof, totp
from tempadmin.accounts.models import OMNIADMIN, RecoveryCode, SecondFactor, User
from tempadmin.audit.log import record
from tempadmin.db import db, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, Invalid
from tempadmin.runtime import Runtime

WRONG_NEW_CODE = "This code is not right. Scan the picture, then type what the new device shows."


def new_seed(*, user_id: int, runtime: Runtime) -> str:
    """Return a sealed seed that only this person's form can bring back, and only while their factor stays as it is."""
    return factors.seal_new_seed(owner=_owner(user_id), runtime=runtime)


def opened_seed(sealed: str, *, user_id: int, runtime: Runtime) -> str:
    """Open the seed that a form brought back.

    Raises
    ------
    Conflict
        When it is another person's, or the second factor has changed since: a form works once.
    """
    seed = factors.open_new_seed(sealed, owner=_owner(user_id), runtime=runtime)
    if seed is None:
        raise Conflict(
            "Your second factor has changed since this page was made. Your account says how it is now.",
            next_url="/account",
            next_label="Go to your account",
        )
    return seed


@retried_once
def add_factor(*, user_id: int, session_id: int, password: str, sealed: str, code: str, runtime: Runtime) -> list[str]:
    """Add a first second factor, proven by a code; it is asked at every sign-in from now on. Return recovery codes.

    Raises
    ------
    Invalid
        When the password (it was counted) or the new device's code is not right.
    RateLimited
        While the pause after wrong passwords lasts (S12).
    Conflict
        When there is a second factor already.
    """
    proven = reproof.prove_password(user_id=user_id, password=password, field="password", runtime=runtime)
    with transaction():
        user = reproof.locked_person(user_id, session_id=session_id, proven=proven)
        if reproof.has_factor(user.id):
            raise Conflict("You have a second factor already.", next_url="/account")
        seed, step = _proven_seed(user, sealed, code, runtime)
        return _store(user, seed, step, session_id=session_id, told=notices.FACTOR_ADDED, runtime=runtime)


@retried_once
def change_factor(*, user_id: int, session_id: int, answer: str, sealed: str, code: str, runtime: Runtime) -> list[str]:
    """Put a new device, proven by a code, in the place of the present one; return new recovery codes.

    The new device's code is looked at first, so a slip there does not use the present one's code up.

    Raises
    ------
    Invalid
        When a code is not right; the present factor's was counted.
    RateLimited
        While the pause after wrong codes lasts (S12).
    Conflict
        When the form is older than the present factor.
    """
    codes: list[str] = []
    with transaction():
        user = reproof.locked_person(user_id, session_id=session_id)
        seed, step = _proven_seed(user, sealed, code, runtime)
        verdict = _judged(user, answer, runtime)
        if verdict.refusal is None:
            codes = _store(user, seed, step, session_id=session_id, told=notices.FACTOR_CHANGED, runtime=runtime)
    verdict.raise_if_refused()
    return codes


@retried_once
def remove_factor(*, user_id: int, session_id: int, answer: str, runtime: Runtime) -> None:
    """Remove a second factor and its recovery codes; never an omniadmin's (S13).

    Raises
    ------
    Forbidden
        When the person is an omniadmin.
    Invalid, RateLimited
        As ``change_factor``.
    Conflict
        When there is no second factor.
    """
    with transaction():
        user = reproof.locked_person(user_id, session_id=session_id)
        if user.role == OMNIADMIN:
            raise Forbidden("An omniadmin cannot be without a second factor. You can change it.")
        verdict = _judged(user, answer, runtime)
        if verdict.refusal is None:
            now = runtime.now()
            db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
            db.session.execute(delete(SecondFactor).where(SecondFactor.user_id == user.id))
            _follow(user, session_id=session_id, told=notices.FACTOR_REMOVED, now=now, runtime=runtime)
    verdict.raise_if_refused()


@retried_once
def new_recovery_codes(*, user_id: int, session_id: int, answer: str, runtime: Runtime) -> list[str]:
    """Make ten new recovery codes and return them this once; the old ones are void, and a mail tells it.

    Raises
    ------
    Invalid, RateLimited, Conflict
        As ``remove_factor``.
    """
    codes: list[str] = []
    with transaction():
        user = reproof.locked_person(user_id, session_id=session_id)
        verdict = _judged(user, answer, runtime)
        if verdict.refusal is None:
            now = runtime.now()
            codes = recovery.replace_codes(user_id=user.id, runtime=runtime)
            told = notices.RECOVERY_CODES_REPLACED
            notices.tell(told, user=user, at=now, session_id=session_id, runtime=runtime)
            record(f"account.{told}", instance_id=user.instance_id, actor=reproof.myself(user), at=now)
    verdict.raise_if_refused()
    return codes


def _owner(user_id: int) -> str:
    since = db.session.scalar(select(SecondFactor.created_at).where(SecondFactor.user_id == user_id))
    return f"user:{user_id}:{since.isoformat() if since else 'none'}"


def _proven_seed(user: User, sealed: str, code: str, runtime: Runtime) -> tuple[str, int]:
    seed = opened_seed(sealed, user_id=user.id, runtime=runtime)
    step = totp.matching_step(seed, code.strip(), runtime.now())
    if step is None:
        raise Invalid(WRONG_NEW_CODE, field="new_code")
    return seed, step


def _judged(user: User, answer: str, runtime: Runtime) -> factors.Verdict:
    verdict = reproof.judge_factor(user, answer=answer, runtime=runtime)
    if verdict is None:
        raise Conflict("You have no second factor.", next_url="/account", next_label="Go to your account")
    return verdict


def _store(user: User, seed: str, step: int, *, session_id: int, told: str, runtime: Runtime) -> list[str]:
    now = runtime.now()
    factors.enrol(user_id=user.id, seed=seed, step=step, now=now, runtime=runtime)
    codes = recovery.replace_codes(user_id=user.id, runtime=runtime)
    # A link that was made for a lost device would otherwise still replace the one that was found again.
    invitations.void(user_id=user.id, now=now)
    _follow(user, session_id=session_id, told=told, now=now, runtime=runtime)
    return codes


def _follow(user: User, *, session_id: int, told: str, now: datetime, runtime: Runtime) -> None:
    """End all other sessions and the open accesses, tell the person, write it down."""
    actor = reproof.myself(user)
    authority.cut_off(
        user_id=user.id,
        reason=authority.CREDENTIALS_CHANGED,
        session_reason="factor_changed",
        actor=actor,
        at=now,
        spare=session_id,
    )
    notices.tell(told, user=user, at=now, session_id=session_id, runtime=runtime)
    record(f"account.{told}", instance_id=user.instance_id, actor=actor, at=now)
