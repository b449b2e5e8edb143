"""Changing one's own password: the present one, and the second factor where there is one, are asked first (S14)."""

from __future__ import annotations

from tempadmin.accounts import authority, notices, reproof
from tempadmin.accounts.passwords import hash_password
from tempadmin.audit.log import record
from tempadmin.db import retried_once, transaction
from tempadmin.errors import Invalid
from tempadmin.runtime import Runtime


@retried_once
def change_password(
    *, user_id: int, session_id: int, present: str, new: str, answer: str | None, runtime: Runtime
) -> None:
    """Change a person's password; all their other sessions and their open accesses end (S23), and a mail tells them.

    Parameters
    ----------
    session_id
        The session that makes the change, which goes on.
    answer
        An authentication or recovery code; looked at only where there is a second factor.

    Raises
    ------
    Invalid
        When the present password or the code is not right (it was counted), or the new password cannot be taken.
    RateLimited
        While the pause after wrong answers lasts (S12).
    """
    new_hash = hash_password(new)
    proven = reproof.prove_password(user_id=user_id, password=present, field="present", runtime=runtime)
    if new == present:
        raise Invalid("This is the password that you have. Choose another.", field="password")
    with transaction():
        user = reproof.locked_person(user_id, session_id=session_id, proven=proven)
        verdict = reproof.judge_factor(user, answer=answer, runtime=runtime)
        if verdict is None or verdict.refusal is None:
            user.password_hash = new_hash
            now, actor = runtime.now(), reproof.myself(user)
            authority.cut_off(
                user_id=user.id,
                reason=authority.CREDENTIALS_CHANGED,
                session_reason="password_changed",
                actor=actor,
                at=now,
                spare=session_id,
            )
            notices.tell(notices.PASSWORD_CHANGED, user=user, at=now, session_id=session_id, runtime=runtime)
            record("account.password_changed", instance_id=user.instance_id, actor=actor, at=now)
    if verdict is not None:
        verdict.raise_if_refused()
