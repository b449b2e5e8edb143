"""The password of an account elsewhere: made at redemption, kept sealed until it was shown, once, or the access ended.

It is in no mail, log, address, audit event or activity row; whoever is shown it is the requester, in the session that
their second factor gave them (P5, P12).
"""

from __future__ import annotations

import secrets
import string

from sqlalchemy import update

from tempadmin.audit.log import Actor, record
from tempadmin.db import claimed, retried_once, transaction
from tempadmin.errors import Conflict, Unavailable
from tempadmin.keys import Unsealable
from tempadmin.runtime import Runtime
from tickets.machine import locked
from tickets.models import AccessRequest
from tickets.states import State

PURPOSE = "credential"
ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lIio")))
"""Without signs that are taken for each other when somebody types them: 5.8 bits each."""
GROUPS, SIGNS = 6, 4

PAGE = "/support-session"
SHOWN = (
    "The password was shown already. That happens once, and it is kept nowhere since. "
    "If you do not have it, log out and delete this account, then ask again."
)
NOT_YET = "Nobody is let in by this account yet, so there is no password to show."
OVER = "This access is over, and its password is void."


def new_password() -> str:
    """Return a fresh password of 137 bits with small and capital letters and a digit, in groups that can be typed."""
    while True:
        groups = ("".join(secrets.choice(ALPHABET) for _ in range(SIGNS)) for _ in range(GROUPS))
        password = "-".join(groups)
        kinds = (str.islower, str.isupper, str.isdigit)
        if all(any(kind(sign) for sign in password) for kind in kinds):
            return password


def sealed(password: str, *, request_id: int, runtime: Runtime) -> str:
    """Return a password as the row keeps it."""
    return runtime.keys.seal(PURPOSE, password.encode(), owner=_owner(request_id))


def opened(request: AccessRequest, *, runtime: Runtime) -> str | None:
    """Return the password that a request's row keeps; ``None`` when it keeps none any more.

    Raises
    ------
    Unsealable
        When the row was tampered with, or the key was taken away.
    """
    if request.sealed_credential is None:
        return None
    return runtime.keys.unseal(PURPOSE, request.sealed_credential, owner=_owner(request.id)).decode()


@retried_once
def show(*, request_id: int, actor: Actor, runtime: Runtime) -> str:
    """Take the password out of a request's row and return it; the guarded UPDATE erases it, so this works once.

    Raises
    ------
    Conflict
        When it was shown before, nobody is let in by the account yet, or the access is over.
    Unavailable
        When it cannot be opened.
    """
    with transaction():
        request = locked(request_id)
        now = runtime.now()
        if request.state != State.ACTIVE or request.ends_at is None or now >= request.ends_at:
            raise Conflict(OVER)
        if request.credential_shown_at is not None or request.sealed_credential is None:
            raise Conflict(SHOWN, next_url=PAGE, next_label="Back to your access")
        if request.activated_at is None:
            raise Conflict(NOT_YET, next_url=PAGE, next_label="Back to your access")
        try:
            password = opened(request, runtime=runtime)
        except Unsealable as error:
            raise Unavailable(f"The password cannot be opened: {error}.") from None
        kept = update(AccessRequest).where(
            AccessRequest.id == request.id,
            AccessRequest.state == State.ACTIVE,
            AccessRequest.sealed_credential.is_not(None),
            AccessRequest.credential_shown_at.is_(None),
        )
        if password is None or not claimed(kept.values(sealed_credential=None, credential_shown_at=now)):
            raise Conflict(SHOWN, next_url=PAGE, next_label="Back to your access")
        record("access.credential_shown", instance_id=request.instance_id, actor=actor, at=now, request_id=request.id)
    return password


def _owner(request_id: int) -> str:
    return f"request:{request_id}"
