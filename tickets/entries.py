"""How a person gets in by the account that is made for a request: decided when it is asked, and kept with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import bindparam, select

from instances.actions import Listed
from instances.connectors.base import Account, ConnectorError, Entry
from instances.connectors.registry import connector_for
from instances.models import VirtualInstance
from tempadmin.db import run
from tempadmin.errors import Conflict, Unreadable
from tempadmin.runtime import Runtime
from tickets import credential, policy
from tickets.models import TEMPORARY_ADMIN, AccessRequest
from tickets.provider import clients
from tickets.provider.models import OidcClient
from tickets.states import State

NO_WAY_IN = (
    "Accounts can be made at {name}, but nobody could get in by one: no product is registered that signs people in. "
    "Register it with: tempadmin instance client {web_id}"
)
NO_DIRECTORY = "The user directory of {name} cannot be used, so nothing was asked for: {error}."


WITH_CLIENT = select(OidcClient.instance_id).where(OidcClient.instance_id.in_(bindparam("ids", expanding=True)))


class Entered(Protocol):
    """What is known of a request wherever it is asked how its account is entered."""

    @property
    def entry(self) -> str:
        """As its row says."""

    @property
    def instance_name(self) -> str:
        """Where."""


def entry_of(instance: VirtualInstance) -> Entry:
    """Return how an account that is made at an instance now would be entered.

    Raises
    ------
    Conflict
        When nobody could get in by it, or its connector is not installed; the words say what to do.
    """
    try:
        connector = connector_for(instance.connector)
    except ConnectorError as error:
        raise Conflict(NO_DIRECTORY.format(name=instance.name, error=str(error).rstrip("."))) from None
    if has_client(instance.id):
        return Entry.OIDC
    if connector.entry is None:
        raise Conflict(NO_WAY_IN.format(name=instance.name, web_id=instance.web_id))
    return connector.entry


def has_client(instance_id: int) -> bool:
    """Tell whether a product of the instance signs people in by OpenID Connect."""
    return clients.is_registered(instance_id)


def can_be_impersonated_at(instance: VirtualInstance) -> bool:
    """Tell whether an instance's pages are this service's own, so that they can be shown as another user sees them."""
    return has_our_pages(instance.connector) and not has_client(instance.id)


def has_our_pages(name: str) -> bool:
    """Tell whether a connector's directory is embedded; an instance that a product signs people in to is used there."""
    try:
        connector = connector_for(name)
    except ConnectorError:
        return False
    return not connector.elsewhere and connector.entry is Entry.PANEL


def with_client(instances: Sequence[Listed]) -> frozenset[int]:
    """Return the ids of those among some instances that a product signs people in to: one query."""
    return frozenset(run(WITH_CLIENT, {"ids": [one.id for one in instances]}).scalars())


def is_elsewhere(connector: str) -> bool:
    """Tell whether a connector keeps its accounts outside our own tables; one that is missing may have done so."""
    try:
        return connector_for(connector).elsewhere
    except ConnectorError:
        return True


def sign_in_hint(connector: str) -> Callable[[Account], Mapping[str, str]]:
    """Return what tells where and how an account's user signs in; it reads settings, and asks no directory.

    Raises
    ------
    ConnectorError
        When there is no such connector.
    """
    return connector_for(connector).sign_in_hint


def read(request: Entered) -> Entry:
    """Return how a request's account is entered.

    Raises
    ------
    Unreadable
        When its row says nothing that this version knows (S36).
    """
    try:
        return Entry(request.entry)
    except ValueError:
        raise Unreadable(policy.UNREADABLE) from None


def is_used_here(request: AccessRequest) -> bool:
    """Tell whether a request's session works in our own pages, so that we see whether somebody is at work."""
    return read(request) is Entry.PANEL


def redeemed(request: AccessRequest, *, now: datetime, runtime: Runtime) -> dict[str, Any]:
    """Return what the redemption's own UPDATE says besides, where the account is kept elsewhere."""
    if request.kind != TEMPORARY_ADMIN or not is_elsewhere(request.connector):
        return {}
    if read(request) is not Entry.CREDENTIAL:
        return {"next_attempt_at": now}
    password = credential.sealed(credential.new_password(), request_id=request.id, runtime=runtime)
    return {"next_attempt_at": now, "sealed_credential": password}


def prolonged(request: AccessRequest, *, now: datetime) -> dict[str, Any]:
    """Return what an UPDATE that moves the end of an access says besides: the directory has to hear of it, too."""
    has_account = request.kind == TEMPORARY_ADMIN and is_elsewhere(request.connector)
    return {"next_attempt_at": now} if has_account else {}


def is_let_in(request: AccessRequest) -> bool:
    """Tell whether somebody can get in by a request's account now, as far as its directory has said."""
    if request.state != State.ACTIVE:
        return False
    return request.activated_at is not None or not is_elsewhere(request.connector)
