"""A check of what lets products sign people in: clients that can be read, and signing keys that open (S15, S36)."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.doctor.findings import Check, Finding, checks, error, ok
from tempadmin.errors import Unreadable
from tempadmin.keys import Unsealable
from tempadmin.runtime import Runtime
from tickets.provider import clients
from tickets.provider.models import KEY_PURPOSE, OidcClient, OidcKey


def init_app(app: Flask) -> None:
    """Register the check."""
    checks(app).append(Check(name="openid", look=look))


def look(runtime: Runtime) -> Iterator[Finding]:
    """Yield each client that cannot be read, and each key that does not open; or that there is none."""
    query = select(OidcClient, VirtualInstance.web_id).join(
        VirtualInstance, VirtualInstance.id == OidcClient.instance_id
    )
    rows, bad = db.session.execute(query.order_by(OidcClient.id)).all(), 0
    for row, web_id in rows:
        try:
            clients.read(row)
        except Unreadable as reason:
            bad += 1
            advice = f"register it again: tempadmin instance client {web_id} --redirect-uri …"
            yield error(f"the OpenID client of {web_id}: {reason.message}", advice)
    signing = list(db.session.scalars(select(OidcKey).order_by(OidcKey.id)))
    for key in signing:
        try:
            runtime.keys.unseal(KEY_PURPOSE, key.sealed_private, owner=key.kid)
        except Unsealable:
            bad += 1
            back = "put the key that was removed back at the end of secret_keys"
            yield error(f"the signing key {key.kid} does not open", f"{back}, or: tempadmin oidc rotate --now")
    if not bad:
        yield ok(f"{len(rows)} products are registered; {len(signing)} signing keys open")
