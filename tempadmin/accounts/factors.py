"""Judging a second factor inside the caller's transaction, and what a person's device is made of.

The verdict is returned, not raised: a wrong guess must be committed before anybody hears of it (design §2). The
caller commits, then calls ``Verdict.raise_if_refused()``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import Table, bindparam, select, update

from tempadmin.accounts import notices, recovery, throttle, totp
from tempadmin.accounts.models import SecondFactor, User
from tempadmin.db import db, run
from tempadmin.errors import Forbidden, Invalid
from tempadmin.keys import Unsealable
from tempadmin.runtime import Runtime

SEED_PURPOSE, NEW_SEED_PURPOSE = "totp-seed", "enrolment-seed"
SIGNED_IN = "session"

# Built once: each sign-in and each access has its second factor judged.
LOCK = (
    select(SecondFactor)
    .where(SecondFactor.user_id == bindparam("user"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_FACTORS = cast(Table, SecondFactor.__table__)
USE_STEP = (
    update(_FACTORS)
    .where(_FACTORS.c.id == bindparam("factor"), _FACTORS.c.last_step < bindparam("step"))
    .values(last_step=bindparam("step"))
)


@dataclass(frozen=True)
class Verdict:
    """``refusal`` is ``None`` when the answer was right; a used code is refused, and not counted as wrong (S10)."""

    kind: Literal["totp", "recovery"]
    refusal: str | None = None
    counts_as_wrong: bool = False

    def raise_if_refused(self) -> None:
        """Raise ``Invalid`` for the field ``code`` when the answer was not right."""
        if self.refusal is not None:
            raise Invalid(self.refusal, field="code")


def judge(*, user_id: int, answer: str, runtime: Runtime, known_as: str | None = SIGNED_IN) -> Verdict:
    """Judge an authentication code or a recovery code; lock order: factor, then throttle.

    Wrong answers are counted per account, over all factors, workers and tickets. Whoever is known already (a signed-in
    session, a device in which this person signed in fully before) has a count of their own, so a stranger who knows
    the password cannot lock the owner out (S12). A used recovery code is told by mail.

    Parameters
    ----------
    known_as
        Whose guess this is: a signed-in session's, a known device's, or a stranger's (``None``).

    Raises
    ------
    Forbidden
        When the person has no second factor.
    RateLimited
        While the pause after wrong answers lasts; the answer is then not looked at (S12).
    """
    factor = db.session.scalars(LOCK, {"user": user_id}).one_or_none()
    if factor is None:
        raise Forbidden("This account has no second factor. Ask an omniadmin for an enrolment link.")
    key = f"factor:{user_id}" if known_as is None else f"factor:{user_id}:{known_as}"
    (row,) = throttle.locked_all(key, now=runtime.now())
    now = runtime.now()
    throttle.refuse_while_blocked(row, now=now)
    answer = answer.strip()
    if not totp.looks_like_code(answer):
        verdict = _judge_recovery_code(user_id=user_id, answer=answer, now=now, runtime=runtime)
    else:
        verdict = _judge_totp(factor, answer=answer, now=now, runtime=runtime)
    if verdict.refusal is None:
        throttle.forget(row, now=now)
    elif verdict.counts_as_wrong:
        throttle.count_wrong(row, now=now)
    return verdict


def _judge_totp(factor: SecondFactor, *, answer: str, now: datetime, runtime: Runtime) -> Verdict:
    step = totp.matching_step(seed_of(factor, runtime=runtime), answer, now)
    if step is None:
        return Verdict(
            "totp", "This code is not right. Take the one that your authenticator shows now.", counts_as_wrong=True
        )
    if run(USE_STEP, {"factor": factor.id, "step": step}).rowcount == 1:
        return Verdict("totp")
    return Verdict("totp", f"This code was used already; the next one appears in {totp.seconds_to_next_step(now)} s.")


def _judge_recovery_code(*, user_id: int, answer: str, now: datetime, runtime: Runtime) -> Verdict:
    if recovery.use_code(user_id=user_id, code=answer, now=now, runtime=runtime):
        user = db.session.get_one(User, user_id)
        notices.tell(notices.RECOVERY_CODE_USED, user=user, at=now, runtime=runtime)
        return Verdict("recovery")
    return Verdict(
        "recovery", "This is neither a six-digit code nor one of your unused recovery codes.", counts_as_wrong=True
    )


def enrol(*, user_id: int, seed: str, step: int, now: datetime, runtime: Runtime) -> None:
    """Store a proven device in the open transaction, in the place of any former one."""
    sealed = runtime.keys.seal(SEED_PURPOSE, seed.encode(), owner=_owner(user_id))
    factor = db.session.scalars(select(SecondFactor).where(SecondFactor.user_id == user_id)).one_or_none()
    if factor is None:
        db.session.add(SecondFactor(user_id=user_id, sealed_seed=sealed, last_step=step, created_at=now))
    else:
        factor.sealed_seed, factor.last_step, factor.created_at = sealed, step, now


def seed_of(factor: SecondFactor, *, runtime: Runtime) -> str:
    """Open a device's seed; it opens for the account that it was sealed for, and no other (S15)."""
    return runtime.keys.unseal(SEED_PURPOSE, factor.sealed_seed, owner=_owner(factor.user_id)).decode()


def seal_new_seed(*, owner: str, runtime: Runtime) -> str:
    """Return a new seed that only this owner's form can bring back: showing it writes nothing (S02)."""
    return runtime.keys.seal(NEW_SEED_PURPOSE, totp.new_seed().encode(), owner=owner)


def open_new_seed(sealed: str, *, owner: str, runtime: Runtime) -> str | None:
    """Open the seed that a form brought back; ``None`` when it is not this owner's."""
    try:
        return runtime.keys.unseal(NEW_SEED_PURPOSE, sealed, owner=owner).decode()
    except Unsealable:
        return None


def _owner(user_id: int) -> str:
    return f"user:{user_id}"
