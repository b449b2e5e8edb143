"""One-time links that open an account: to join (choose a password), or to enrol a new second factor.

An omniadmin's second factor is enrolled here and nowhere else, never behind a password alone (S13). Looking at the
link writes nothing (S02): the seed that the page shows travels in the form, sealed for this one invitation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from itsdangerous import BadSignature
from sqlalchemy import select, update

from tempadmin.accounts import authority, factors, notices, recovery, reproof, totp
from tempadmin.accounts.models import OMNIADMIN, Invitation, User
from tempadmin.accounts.passwords import hash_password
from tempadmin.audit.log import Actor, record
from tempadmin.db import claimed, db, lock, retried_once, transaction
from tempadmin.errors import Gone, Invalid, NotFound
from tempadmin.keys import new_secret
from tempadmin.runtime import Runtime
from tempadmin.web.context import InstanceInfo

JOIN, ENROL = "join", "enrol"
SALT = "invitation"
LIFETIME = timedelta(days=3)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What an invitation's page needs to know."""

    invitation_id: int
    user: User
    purpose: str
    enrols: bool


def invite(*, user: User, purpose: str, now: datetime, runtime: Runtime) -> str:
    """Add an invitation to the open transaction, void the person's former ones, return the new link's key."""
    void(user_id=user.id, now=now)
    secret = new_secret()
    digest = runtime.keys.digest(SALT, secret)
    db.session.add(
        Invitation(user_id=user.id, purpose=purpose, digest=digest, created_at=now, expires_at=now + LIFETIME)
    )
    db.session.flush()
    return str(runtime.keys.serializer(SALT).dumps(secret))


def void(*, user_id: int, now: datetime) -> None:
    """Make every unused invitation of a person worthless, in the open transaction."""
    unused = update(Invitation).where(Invitation.user_id == user_id, Invitation.used_at.is_(None))
    db.session.execute(unused.values(used_at=now))


def link(instance: InstanceInfo, key: str) -> str:
    """Return the address that an invitation's key opens, built from what is stored (S08)."""
    return f"{instance.url}/welcome?{urlencode({'key': key})}"


def look(*, key: str, instance_id: int, runtime: Runtime) -> Opened:
    """Return what a link opens, without writing anything.

    Raises
    ------
    NotFound
        When the link is garbled, of another kind, or of another instance.
    Gone
        When it was used, replaced or has expired.
    """
    row, user = _find(key, runtime)
    if user.instance_id != instance_id:
        raise NotFound("There is no such invitation here.")
    if row.used_at is not None or runtime.now() >= row.expires_at or not user.active:
        raise Gone(
            "This invitation was used already, replaced by a newer one, or has expired. Ask for a new one.",
            next_url="/login",
            next_label="Sign in",
        )
    enrols = row.purpose == ENROL or user.role == OMNIADMIN
    return Opened(invitation_id=row.id, user=user, purpose=row.purpose, enrols=enrols)


def sealed_seed(*, opened: Opened, runtime: Runtime) -> str:
    """Return a new TOTP seed that only this invitation's form can bring back."""
    return factors.seal_new_seed(owner=f"invitation:{opened.invitation_id}", runtime=runtime)


def unsealed_seed(*, sealed: str, opened: Opened, runtime: Runtime) -> str:
    """Open the seed that a form brought back.

    Raises
    ------
    Invalid
        When it is not this invitation's.
    """
    seed = factors.open_new_seed(sealed, owner=f"invitation:{opened.invitation_id}", runtime=runtime)
    if seed is None:
        raise Invalid("This form does not belong to this link. Open the link again.")
    return seed


@retried_once
def accept(
    *, key: str, instance_id: int, password: str, code: str | None, seed: str | None, runtime: Runtime
) -> list[str]:
    """Use an invitation up; return the recovery codes when a factor was enrolled, to be shown this once.

    To join, ``password`` is the new one; to enrol again it is the present one: the link alone is not enough.
    All former sessions and open accesses of the person end (S23), and a mail tells them.

    Raises
    ------
    Invalid
        When password or code cannot be taken; a wrong password was counted.
    RateLimited
        While the pause after wrong passwords lasts (S12).
    NotFound, Gone
        As ``look``.
    """
    opened = look(key=key, instance_id=instance_id, runtime=runtime)
    user_id, new_hash, proven = opened.user.id, None, None
    if opened.purpose == JOIN:
        new_hash = hash_password(password)
    else:
        proven = reproof.prove_password(user_id=user_id, password=password, field="password", runtime=runtime)
    codes: list[str] = []
    with transaction():
        user = lock(User, user_id)
        now = runtime.now()
        used = update(Invitation).where(
            Invitation.id == opened.invitation_id, Invitation.used_at.is_(None), Invitation.expires_at > now
        )
        if user is None or not user.active or not claimed(used.values(used_at=now)):
            raise Gone("This invitation was used a moment ago.")
        if new_hash is not None:
            user.password_hash = new_hash
        elif user.password_hash != proven:
            raise Gone("Your password changed a moment ago. Open the link again.")
        if opened.enrols:
            step = totp.matching_step(seed or "", code or "", now)
            if step is None:
                raise Invalid(
                    "This code is not right. Scan the picture, then type what your device shows.", field="code"
                )
            factors.enrol(user_id=user.id, seed=seed or "", step=step, now=now, runtime=runtime)
            codes = recovery.replace_codes(user_id=user.id, runtime=runtime)
        actor = Actor(id=user.id, name=user.full_name)
        authority.cut_off(
            user_id=user.id,
            reason=authority.CREDENTIALS_CHANGED,
            session_reason="factor_changed",
            actor=actor,
            at=now,
        )
        told = notices.ACCOUNT_OPENED if opened.purpose == JOIN else notices.FACTOR_CHANGED
        notices.tell(told, user=user, at=now, runtime=runtime)
        record("account.opened", instance_id=user.instance_id, actor=actor, at=now, second_factor=opened.enrols)
    return codes


def _find(key: str, runtime: Runtime) -> tuple[Invitation, User]:
    try:
        secret = runtime.keys.serializer(SALT).loads(key)
    except BadSignature:
        raise NotFound("There is no such invitation here.") from None
    found = db.session.execute(
        select(Invitation, User)
        .join(User, User.id == Invitation.user_id)
        .where(Invitation.digest.in_(runtime.keys.digests(SALT, str(secret))))
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such invitation here.")
    return found[0], found[1]
