"""Register an instance's product as a client: one for each instance; its secret is shown once (S01)."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from instances.connectors.base import Entry
from instances.models import VirtualInstance
from tempadmin.audit.log import Actor, record
from tempadmin.db import lock, retried_once, transaction
from tempadmin.errors import Conflict, Invalid, NotFound
from tempadmin.keys import new_secret
from tempadmin.runtime import Runtime
from tickets.models import AccessRequest
from tickets.provider import addresses, keys
from tickets.provider.clients import SECRET, of_instance
from tickets.provider.models import OidcClient
from tickets.states import State

GROUP = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
MOST = 20
"""Of addresses, or groups, of one product."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Product:
    """What is to be registered: ``None`` stays as it was, and what is given empty is taken back."""

    login_uri: str | None = None
    redirect_uris: Sequence[str] | None = None
    post_logout_redirect_uris: Sequence[str] | None = None
    backchannel_logout_uri: str | None = None
    ca_file: str | None = field(default=None, repr=False)
    groups: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The client's name, and its secret where a new one was made: it exists nowhere else."""

    client_id: str
    client_secret: str | None = field(repr=False)


def register(
    *, instance_id: int, product: Product, actor: Actor, runtime: Runtime, new_secret_too: bool = False
) -> Registered:
    """Register an instance's product, or change what is registered.

    Raises
    ------
    NotFound
        When there is no such instance, or it is archived, or your own.
    Invalid
        When something of it cannot be taken; nothing is changed.
    Conflict
        When somebody registered it at the same moment.
    """
    checked = _checked(product)
    keys.ensure(runtime)
    try:
        return _write(instance_id, checked, new_secret_too=new_secret_too, actor=actor, runtime=runtime)
    except IntegrityError as error:
        raise Conflict("Somebody else registered this instance's product at this moment. Look at it again.") from error


@retried_once
def remove(*, instance_id: int, actor: Actor, runtime: Runtime) -> None:
    """Take a client back: nobody gets in through the product any more.

    Raises
    ------
    NotFound
        When none is registered.
    Conflict
        When somebody is inside, or on the way, whose only entry it is; or still has to be told of an end.
    """
    with transaction() as session:
        lock(VirtualInstance, instance_id)  # whoever asks for access holds it, too: of the two the later one knows
        row = _locked(instance_id)
        if row is None:
            raise NotFound("No product is registered for this instance.")
        theirs = select(func.count()).where(
            AccessRequest.instance_id == instance_id,
            AccessRequest.entry == Entry.OIDC,
            AccessRequest.state != State.ENDED,
        )
        open_ones = session.scalar(theirs) or 0
        if open_ones:
            raise Conflict(f"{open_ones} accesses are entered through this product. End them first.")
        session.delete(row)
        record("oidc.client_removed", instance_id=instance_id, actor=actor, at=runtime.now(), client=row.client_id)


@retried_once
def _write(instance_id: int, product: Product, *, new_secret_too: bool, actor: Actor, runtime: Runtime) -> Registered:
    with transaction() as session:
        instance = session.get(VirtualInstance, instance_id)
        if instance is None or instance.is_default or instance.archived_at is not None:
            raise NotFound("There is no such customer's instance.")
        row = _locked(instance_id)
        now = runtime.now()
        is_new = row is None
        if row is None:
            row = OidcClient(instance_id=instance_id, client_id=secrets.token_urlsafe(16), created_at=now)
            row.groups = row.post_logout_redirect_uris = "[]"
        _put(row, product)
        _refuse_half(row)
        row.changed_at = now
        secret = new_secret() if is_new or new_secret_too else None
        if secret is not None:
            row.secret_digest = runtime.keys.digest(SECRET, secret)
        session.add(row)
        session.flush()
        record(
            "oidc.client_registered" if is_new else "oidc.client_changed",
            instance_id=instance_id,
            actor=actor,
            at=now,
            client=row.client_id,
            login_uri=row.login_uri,
            redirect_uris=row.redirect_uris,
            new_secret=secret is not None,
        )
        return Registered(client_id=row.client_id, client_secret=secret)


def _put(row: OidcClient, product: Product) -> None:
    for name in ("redirect_uris", "post_logout_redirect_uris", "groups"):
        if (values := getattr(product, name)) is not None:
            setattr(row, name, json.dumps(list(dict.fromkeys(values)), ensure_ascii=False))
    for name in ("login_uri", "backchannel_logout_uri", "ca_file"):
        if (text := getattr(product, name)) is not None:
            setattr(row, name, text or None)


def _locked(instance_id: int) -> OidcClient | None:
    found = of_instance(instance_id)
    return None if found is None else lock(OidcClient, found.id)


def _refuse_half(row: OidcClient) -> None:
    if not row.login_uri:
        raise Invalid("login_uri: the address where the product begins its login is needed.", field="login_uri")
    if row.redirect_uris in (None, "[]"):
        raise Invalid("redirect_uris: at least one redirect address is needed.", field="redirect_uris")


def _checked(product: Product) -> Product:
    """Return what is to be registered, each address looked at."""
    for name in ("login_uri", "backchannel_logout_uri"):
        if address := getattr(product, name):
            addresses.checked(address, field=name)
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for address in _few(getattr(product, name) or (), name):
            addresses.checked(address, field=name)
    for group in _few(product.groups or (), "groups"):
        if not GROUP.fullmatch(group):
            raise Invalid(f"groups: this is no name: {group[:60]!r}", field="groups")
    if product.ca_file:
        addresses.checked_ca(product.ca_file)
    return product


def _few(values: Sequence[T], name: str) -> Sequence[T]:
    if len(values) > MOST:
        raise Invalid(f"{name}: more than {MOST} are too many.", field=name)
    return values
