"""Signing in: a password, then the second factor when the account has one, which an omniadmin's always has (S13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from tempadmin.accounts import devices, factors, throttle
from tempadmin.accounts.models import OMNIADMIN, REGULAR, User
from tempadmin.accounts.passwords import password_is_right
from tempadmin.accounts.people import normalised_email
from tempadmin.accounts.reproof import has_factor
from tempadmin.accounts.sessions import open_session
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Forbidden, Invalid
from tempadmin.keys import Keys
from tempadmin.runtime import Runtime

WRONG = "E-mail or password is not right."
STRANGERS_TRIES = 50
"""Wrong passwords in a row that one account takes from unknown devices of all networks before they pause."""


@dataclass(frozen=True, kw_only=True)
class FirstFactor:
    """A password was right. ``proof`` changes when the password does, so a stale one opens nothing."""

    user_id: int
    proof: str
    needs_code: bool


@dataclass(frozen=True, kw_only=True)
class Client:
    """Where a sign-in comes from: for the person's own list of sessions, and to know their device again."""

    address: str | None = None
    user_agent: str | None = None
    device: str | None = None
    """The device's signed cookie (S12)."""


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """What the browser keeps: the new session's secret, and the cookie by which it is known next time."""

    secret: str
    device: str


def check_password(
    *, instance_id: int, email: str, password: str, network: str, client: Client, runtime: Runtime
) -> FirstFactor:
    """Check the first factor. Unknown address, wrong password and no password answer and cost the same (S42).

    The try is counted before the password is looked at and forgotten when it was right: parallel guesses are all
    counted, and no lock is held while Argon2 works.

    Raises
    ------
    Invalid
        When address and password do not fit.
    RateLimited
        While the pause after wrong answers lasts: per device where this account signed in fully before, elsewhere per
        account and network, with a ceiling over all networks (S12).
    Forbidden
        When an omniadmin has no second factor: only an enrolment link helps (S13).
    """
    try:
        address = normalised_email(email)
    except Invalid:
        address = "nobody"
    limits = _limits(instance_id, address, network, client, runtime)
    with transaction():
        rows = throttle.locked_all(*limits, now=runtime.now())
        now = runtime.now()
        for row in rows:
            throttle.refuse_while_blocked(row, now=now)
        for row, free_tries in zip(rows, limits.values(), strict=True):
            throttle.count_wrong(row, now=now, free_tries=free_tries)
    user = db.session.scalars(
        select(User).where(
            User.instance_id == instance_id, User.email == address, User.kind == REGULAR, User.active.is_(True)
        )
    ).one_or_none()
    if not password_is_right(user.password_hash if user else None, password) or user is None:
        raise Invalid(WRONG)
    found = FirstFactor(user_id=user.id, proof=_proof(user, runtime.keys), needs_code=has_factor(user.id))
    role = user.role
    throttle.forgive(*limits, runtime=runtime)
    if role == OMNIADMIN and not found.needs_code:
        raise Forbidden("Your account has no second factor. Ask for a new link: tempadmin omniadmin reset-factor.")
    return found


@retried_once
def finish(*, first: FirstFactor, answer: str | None, client: Client, runtime: Runtime) -> NewSession:
    """Judge the second factor where there is one, open the session, return what the browser keeps.

    Raises
    ------
    Invalid
        When the code is not right; it was counted.
    Forbidden
        When the account changed since the password was given.
    RateLimited
        While the pause after wrong codes lasts.
    """
    verdict = None
    new_session = None
    with transaction():
        user = lock(User, first.user_id)
        if user is None or not user.active or user.temporary or _proof(user, runtime.keys) != first.proof:
            raise Forbidden("Your account changed while you signed in. Start again.", next_url="/login")
        if has_factor(user.id):
            if answer is None:
                raise Forbidden("This account needs its second factor.", next_url="/login")
            known_as = _device_id(user.instance_id, user.email, client, runtime)
            verdict = factors.judge(user_id=user.id, answer=answer, known_as=known_as, runtime=runtime)
        elif user.role == OMNIADMIN:
            raise Forbidden("An omniadmin cannot sign in without a second factor.")
        now = runtime.now()
        actor = Actor(id=user.id, name=user.full_name)
        if verdict is None or verdict.refusal is None:
            secret = _open(user, actor, now=now, with_factor=verdict is not None, client=client, runtime=runtime)
            device = devices.remember(
                cookie=client.device, instance_id=user.instance_id, address=user.email, now=now, runtime=runtime
            )
            new_session = NewSession(secret=secret, device=device)
            if verdict is not None and verdict.kind == "recovery":
                record("factor.recovery_code_used", instance_id=user.instance_id, actor=actor, at=now)
        elif verdict.counts_as_wrong:
            record("session.wrong_code", instance_id=user.instance_id, actor=actor, at=now)
    if verdict is not None:
        verdict.raise_if_refused()
    if new_session is None:
        raise RuntimeError("a right answer opened no session")
    return new_session


def _limits(instance_id: int, address: str, network: str, client: Client, runtime: Runtime) -> dict[str, int]:
    """Return the counters of a password guess, with how many wrong ones each takes before it pauses."""
    account = f"password:{devices.mark(instance_id=instance_id, address=address, keys=runtime.keys)}"
    device_id = _device_id(instance_id, address, client, runtime)
    if device_id is not None:
        return {f"{account}:{device_id}": throttle.FREE_TRIES}
    return {f"{account}:{network}": throttle.FREE_TRIES, account: STRANGERS_TRIES}


def _device_id(instance_id: int, address: str, client: Client, runtime: Runtime) -> str | None:
    known = devices.known_id(
        cookie=client.device, instance_id=instance_id, address=address, now=runtime.now(), runtime=runtime
    )
    return None if known is None else f"device:{known}"


def _open(user: User, actor: Actor, *, now: datetime, with_factor: bool, client: Client, runtime: Runtime) -> str:
    user.last_sign_in_at = now
    record("session.signed_in", instance_id=user.instance_id, actor=actor, at=now, second_factor=with_factor)
    return open_session(
        user=user,
        actor=actor,
        now=now,
        lifetime=runtime.settings.session_lifetime,
        idle=runtime.settings.session_idle,
        runtime=runtime,
        mfa_at=now if with_factor else None,
        address=client.address,
        user_agent=client.user_agent,
    )


def _proof(user: User, keys: Keys) -> str:
    return keys.digest("first-factor", f"{user.id}:{user.password_hash}")
