"""Recovery codes: ten, single use, 140 bits each, stored as keyed digests only (S01)."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import delete, func, select, update

from tempadmin.accounts.models import RecoveryCode
from tempadmin.db import claimed, db
from tempadmin.runtime import Runtime

COUNT = 10
GROUPS, GROUP_LENGTH = 4, 7  # 28 signs of 5 bits
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 signs, none that is read as another
PURPOSE = "recovery-code"


def replace_codes(*, user_id: int, runtime: Runtime) -> list[str]:
    """Make ten new codes in the open transaction and forget the old ones; the clear text is returned this once."""
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [_new_code() for _ in range(COUNT)]
    for code in codes:
        db.session.add(RecoveryCode(user_id=user_id, digest=runtime.keys.digest(PURPOSE, _plain(code))))
    db.session.flush()
    return codes


def use_code(*, user_id: int, code: str, now: datetime, runtime: Runtime) -> bool:
    """Use a code up in the open transaction; a guarded UPDATE lets each work once, whoever else tries."""
    digests = runtime.keys.digests(PURPOSE, _plain(code))
    return claimed(
        update(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.digest.in_(digests), RecoveryCode.used_at.is_(None))
        .values(used_at=now)
    )


def codes_left(*, user_id: int) -> int:
    """Return how many codes a person has not used yet."""
    unused = select(func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    return db.session.scalar(unused) or 0


def _new_code() -> str:
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))


def _plain(code: str) -> str:
    return code.lower().replace("-", "").replace(" ", "")
