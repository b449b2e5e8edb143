"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): a product that let somebody in is told of the end.

It is part of each attempt to remove the account, and comes first: told once, it is remembered. A product that does not
acknowledge keeps its request from being called ended (P11), and never the account from being deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flask import Flask
from sqlalchemy import Select, select, update

from instances.connectors import patience
from instances.connectors.base import ConnectorError, Entry
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, retried_once, transaction
from tempadmin.errors import Unreadable
from tempadmin.failpoints import reach
from tempadmin.keys import new_secret
from tempadmin.runtime import Runtime
from tempadmin.web.context import instance_source
from tickets.before_removal import Step, before_removal
from tickets.machine import locked
from tickets.models import AccessRequest
from tickets.provider import clients
from tickets.provider.models import OidcLogin

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TIMEOUT, LIVES = timedelta(seconds=3), timedelta(minutes=2)
AT_ONCE = 8
"""Products that are called at the same time: a slow one must not hold up the others of its batch."""


@dataclass(frozen=True, kw_only=True)
class _Letter:
    """What one product is to be told of one access."""

    request_id: int
    uri: str
    ca_pem: str | None
    logout_token: str = field(repr=False)


def init_app(app: Flask) -> None:
    """Tell products before their account is removed."""
    before_removal(app).append(Step(tell_products, concerns=lambda _connector, entry: entry == Entry.OIDC))


def tell_products(request_ids: Sequence[int], runtime: Runtime) -> Mapping[int, str]:
    """Tell the products that let somebody in by these requests; return by request why one is not told yet."""
    if not _is_anybody_waiting(request_ids):
        return {}
    from tickets.provider import keys

    keys.ensure(runtime)  # a restored database has none
    letters, said = _written(request_ids, runtime)
    if not letters:
        return said
    by_product = defaultdict(list)
    for letter in letters:
        by_product[letter.uri].append(letter)
    reach("before post")
    post_all = partial(_post_all, timeout=patience.within(TIMEOUT))
    with ThreadPoolExecutor(min(AT_ONCE, len(by_product))) as pool:
        for answers in pool.map(post_all, by_product.values()):
            said |= answers
    reach("after post")
    for letter in letters:
        if letter.request_id not in said:
            _note(letter.request_id, runtime)
    return said


def _written(request_ids: Sequence[int], runtime: Runtime) -> tuple[list[_Letter], dict[int, str]]:
    """Write what is still to be told; nothing where nobody ever logged in, or no product wants to be told."""
    waiting = select(AccessRequest).where(AccessRequest.id.in_(_not_told(request_ids)))
    letters, said, now = [], dict[int, str](), runtime.now()
    for request in db.session.scalars(waiting.order_by(AccessRequest.id)).all():
        try:
            letter = _letter(request, now=now, runtime=runtime)
        except Unreadable as error:
            said[request.id] = error.message
        else:
            letters += [] if letter is None else [letter]
    db.session.rollback()
    return letters, said


def _not_told(request_ids: Sequence[int]) -> Select[int]:
    untold = (OidcLogin.used_at.is_not(None), OidcLogin.told_at.is_(None))
    return select(OidcLogin.request_id).where(OidcLogin.request_id.in_(request_ids), *untold)


def _is_anybody_waiting(request_ids: Sequence[int]) -> bool:
    found = db.session.scalar(_not_told(request_ids).limit(1)) is not None
    db.session.rollback()
    return found


def _letter(request: AccessRequest, *, now: datetime, runtime: Runtime) -> _Letter | None:
    issuer = instance_source().by_id(request.instance_id)
    client = None if issuer is None else clients.registered(issuer)
    if issuer is None or client is None or client.backchannel_logout_uri is None:
        return None
    from tickets.provider import keys

    claims: dict[str, Any] = {
        "iss": issuer.url,
        "aud": client.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + LIVES).timestamp()),
        "jti": new_secret(),
        "events": {EVENT: {}},
        "sub": request.account_name,
        "sid": request.public_id,
    }
    signed, _ = keys.sign(claims, now=now, runtime=runtime, typ="logout+jwt")
    return _Letter(request_id=request.id, uri=client.backchannel_logout_uri, ca_pem=client.ca_file, logout_token=signed)


def _post_all(letters: Sequence[_Letter], *, timeout: timedelta) -> dict[int, str]:
    """Tell one product of its accesses, one after the other; one that does not answer is not asked again."""
    said: dict[int, str] = {}
    for at, letter in enumerate(letters):
        try:
            _post(letter, timeout=timeout)
        except ConnectorError as error:
            word = f"the product was not told of the end: {error}"
            if error.permanent:
                said[letter.request_id] = word
                continue
            return said | {one.request_id: word for one in letters[at:]}
    return said


def _post(letter: _Letter, *, timeout: timedelta) -> None:
    from instances.connectors.http import guarded_client
    from instances.connectors.wording import refused

    secrets = (letter.logout_token,)
    with guarded_client(url=letter.uri, timeout=timeout, ca_pem=letter.ca_pem, secrets=secrets) as http:
        answer = http.post(letter.uri, data={"logout_token": letter.logout_token})
    if answer.status_code not in (200, 204):
        raise refused(answer, secrets=secrets)


@retried_once
def _note(request_id: int, runtime: Runtime) -> None:
    """Remember that the product knows: it is not told again, however often the account's removal is tried."""
    with transaction(as_service=True) as session:
        request, now = locked(request_id), runtime.now()
        theirs = update(OidcLogin).where(OidcLogin.request_id == request_id, OidcLogin.told_at.is_(None))
        session.execute(theirs.values(told_at=now), execution_options={"synchronize_session": False})
        record("access.product_told", instance_id=request.instance_id, actor=SERVICE, at=now, request_id=request_id)
