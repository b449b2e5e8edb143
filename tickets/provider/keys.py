"""Signing keys: RS256, sealed in the database, rotated without a moment in which a product cannot verify (RFC 7517).

The next key is published a day before it signs, so that products which keep the key set for a while know it by then.
An old one stays published until the last token that it signed is over. All instances' issuers sign with the same key:
what keeps their tokens apart is ``iss`` and ``aud``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import delete, exists, select

from tempadmin.audit.log import SERVICE, Actor, record
from tempadmin.db import db, retried_once, transaction
from tempadmin.errors import Conflict, Unavailable
from tempadmin.runtime import Runtime
from tempadmin.web import words
from tempadmin.web.context import instance_source
from tickets.provider.models import KEY_PURPOSE, OidcClient, OidcKey, OidcLogin

ALGORITHM, BITS = "RS256", 2048
PUBLISHED_BEFORE = timedelta(days=1)
SIGNS_FOR = timedelta(days=90)
GRACE = timedelta(hours=1)
"""How long an old key stays at least: for a token that is being signed, and for a logout token on its way."""


def sign(claims: Mapping[str, Any], *, now: datetime, runtime: Runtime, typ: str = "JWT") -> tuple[str, str]:
    """Return a signed token and the id of the key that signed it."""
    row = _signing(now)
    if row is None:
        raise Unavailable("There is no signing key yet. Run: tempadmin oidc rotate")
    private = json.loads(runtime.keys.unseal(KEY_PURPOSE, row.sealed_private, owner=row.kid))
    header = {"alg": ALGORITHM, "kid": row.kid, "typ": typ}
    return jwt.encode(header, dict(claims), RSAKey.import_key(private), algorithms=[ALGORITHM]), row.kid


def verified(token: str) -> Mapping[str, Any] | None:
    """Return the claims of a token that one of our published keys signed, however old; ``None`` for any other."""
    keys = KeySet([RSAKey.import_key(one) for one in published()])
    try:
        return jwt.decode(token, keys, algorithms=[ALGORITHM]).claims
    except (JoseError, ValueError, TypeError):
        return None


def published() -> list[dict[str, Any]]:
    """Return the public keys that products may meet, as a JSON Web Key Set's list."""
    rows = db.session.scalars(select(OidcKey.public).order_by(OidcKey.id))
    return [cast("dict[str, Any]", json.loads(row)) for row in rows]


def ensure(runtime: Runtime) -> None:
    """Make the first key, where there is none; it signs at once, for nobody knows an older one."""
    if db.session.scalar(select(OidcKey.id).limit(1)) is None:
        add_first(_made(runtime), runtime=runtime)


@retried_once
def add_first(row: OidcKey, *, runtime: Runtime) -> None:
    """Add the first key, unless a rival was faster; two that are made at once do no harm, the newer one signs."""
    with transaction() as session:
        if session.scalar(select(OidcKey.id).limit(1)) is None:
            row.published_at = row.signs_from = runtime.now()
            session.add(row)


def rotate(*, actor: Actor, runtime: Runtime, at_once: bool = False) -> datetime:
    """Publish the next key; return when it begins to sign.

    Parameters
    ----------
    at_once
        For a key that leaked: the new one signs from now on, and all others are taken back. Products that keep the
        key set for a while refuse our tokens until they read it again, which is what is wanted then.

    Raises
    ------
    Conflict
        When the next key waits already.
    """
    return _add_next(_made(runtime), actor=actor, runtime=runtime, at_once=at_once)


@retried_once
def _add_next(row: OidcKey, *, actor: Actor, runtime: Runtime, at_once: bool) -> datetime:
    with transaction() as session:
        newest = session.scalars(select(OidcKey).order_by(OidcKey.id.desc()).limit(1).with_for_update()).one_or_none()
        now = runtime.now()
        if newest is not None and newest.signs_from > now and not at_once:
            left = words.duration(newest.signs_from - now)
            raise Conflict(f"The next key is published already; it signs in {left}.")
        row.published_at = now
        row.signs_from = now if at_once or newest is None else now + PUBLISHED_BEFORE
        if at_once:
            session.execute(delete(OidcKey))
        session.add(row)
        _note("oidc.key_published", row, actor=actor, now=now)
        return row.signs_from


def see_to(runtime: Runtime) -> str:
    """Publish the next key when it is time, and take back what is not needed any more; the job's work."""
    now, told = runtime.now(), []
    current = _signing(now)
    waiting = db.session.scalar(select(OidcKey.id).where(OidcKey.signs_from > now).limit(1))
    used = db.session.scalar(select(OidcClient.id).limit(1)) is not None
    due = current is not None and current.signs_from + SIGNS_FOR - PUBLISHED_BEFORE <= now
    if used and due and waiting is None:
        rotate(actor=SERVICE, runtime=runtime)
        told.append("the next key is published")
    gone = _take_back(runtime)
    if gone:
        told.append(f"{gone} old keys taken back")
    return "; ".join(told) or "nothing to do"


@retried_once
def _take_back(runtime: Runtime) -> int:
    with transaction(as_service=True) as session:
        now = runtime.now()
        current = _signing(now)
        if current is None or current.signs_from + GRACE > now:
            return 0
        in_use = exists().where(OidcLogin.kid == OidcKey.kid, OidcLogin.token_expires_at > now)
        old = select(OidcKey).where(OidcKey.id != current.id, OidcKey.signs_from <= now, ~in_use).with_for_update()
        rows = session.scalars(old).all()
        for row in rows:
            _note("oidc.key_taken_back", row, actor=SERVICE, now=now)
            session.delete(row)
        return len(rows)


def _signing(now: datetime) -> OidcKey | None:
    began = select(OidcKey).where(OidcKey.signs_from <= now)
    return db.session.scalars(began.order_by(OidcKey.signs_from.desc(), OidcKey.id.desc()).limit(1)).one_or_none()


def _made(runtime: Runtime) -> OidcKey:
    """Make a key; outside any transaction, for it takes a tenth of a second."""
    return row_of(RSAKey.generate_key(BITS, parameters={"use": "sig", "alg": ALGORITHM}, auto_kid=True), runtime)


def row_of(key: RSAKey, runtime: Runtime) -> OidcKey:
    """Return what is kept of a key, its private half sealed."""
    kid, private = str(key.kid), json.dumps(key.as_dict(private=True))
    return OidcKey(
        kid=kid,
        sealed_private=runtime.keys.seal(KEY_PURPOSE, private.encode(), owner=kid),
        public=json.dumps(key.as_dict(private=False)),
    )


def _note(event: str, row: OidcKey, *, actor: Actor, now: datetime) -> None:
    home = instance_source().default()
    if home is not None:
        record(event, instance_id=home.id, actor=actor, at=now, kid=row.kid)
