"""What the directories elsewhere have, against what the requests say (P1): reads only.

A directory is read first and our tables afterwards; an account that was on its way meanwhile is no fault. It is judged
by our record or our marker: what merely has a name like ours is told of, and never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import or_, select

from instances.connectors import marker
from instances.connectors.base import Account, ConnectorError, Found
from instances.connectors.registry import connector_for
from instances.models import VirtualInstance
from tempadmin.db import db, is_outage
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets.astray import MADE, WITH_ACCOUNT
from tickets.lanes import side_by_side
from tickets.leftover_model import Leftover
from tickets.models import TEMPORARY_ADMIN, AccessRequest

AT_ONCE = 500
LOCAL = "local"
"""Our own table, the directory of most instances: nothing to read there."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Place:
    """An instance, as far as its directory is concerned."""

    instance_id: int
    instance_name: str
    connector: str


@dataclass(frozen=True, kw_only=True)
class Stray:
    """An account in a directory that no request entitles."""

    place: Place
    name: str
    since: datetime | None
    """When its request ended; ``None`` where there is no such request."""
    account: Account | None
    """What to remove; ``None`` where nothing proves it ours: it is left alone."""
    noted: bool
    """Whether it is a leftover already, which the removal job goes on with."""

    @property
    def why(self) -> str:
        """Say in a few words what is wrong with it."""
        if self.account is None:
            return "looks like ours, not proven: left alone"
        return "its request does not exist" if self.since is None else "its request has ended"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one directory had, or why it did not say."""

    instance_name: str
    strays: Sequence[Stray] = ()
    gone: Sequence[AccessRequest] = ()
    """Open requests whose account the directory does not have."""
    error: str | None = None


def read_all(runtime: Runtime) -> Iterator[Reading]:
    """Read every directory elsewhere, a few at a time; one that does not answer holds up none of the others."""
    columns = (VirtualInstance.id, VirtualInstance.name, VirtualInstance.connector)
    other = select(*columns).where(VirtualInstance.connector != LOCAL).order_by(VirtualInstance.id)
    every = [Place(*row) for row in db.session.execute(other)]
    yield from _read([place for place in every if _is_to_be_read(place)], runtime)


def has_lost(request: AccessRequest, runtime: Runtime) -> bool:
    """Read the one directory of a request, and tell whether it says that it has no such account."""
    place = Place(request.instance_id, request.instance_name, request.connector)
    request_id = request.id
    if not _is_to_be_read(place):
        return False
    return any(request_id == gone.id for reading in _read([place], runtime) for gone in reading.gone)


def _read(places: Sequence[Place], runtime: Runtime) -> Iterator[Reading]:
    for place, began, entries, error in side_by_side(places, partial(_entries, runtime=runtime)):
        if error is not None:
            yield Reading(instance_name=place.instance_name, error=error)
            continue
        db.session.rollback()  # what stands in our tables from now on is at least as new as the reading
        strays = list(_strays(entries, place, began, runtime))
        yield Reading(instance_name=place.instance_name, strays=strays, gone=_gone(entries, place, began))


def _is_to_be_read(place: Place) -> bool:
    try:
        return connector_for(place.connector).elsewhere
    except ConnectorError:
        return True  # and the reading says what is wrong


def _entries(place: Place, *, runtime: Runtime) -> tuple[Place, datetime, list[Found], str | None]:
    """Return when a directory was asked and what it has, or why it did not say."""
    began = runtime.now()
    try:
        reach("before listed")
        entries = list(connector_for(place.connector).listed(place.instance_id))
        reach("after listed")
    except ConnectorError as error:
        return place, began, [], str(error)
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("directory.not_read", instance=place.instance_name)  # and no other one suffers by it
        return place, began, [], type(error).__name__
    return place, began, entries, None


def _strays(entries: Sequence[Found], place: Place, began: datetime, runtime: Runtime) -> Iterator[Stray]:
    for at in range(0, len(entries), AT_ONCE):
        batch = entries[at : at + AT_ONCE]
        requests = _requests_of(batch, place.instance_id)
        noted = set(db.session.scalars(select(Leftover.account_name).where(Leftover.instance_id == place.instance_id)))
        for entry in batch:
            request = _request_of(entry, requests, place.instance_id, runtime)
            if request is not None and _is_entitled(request, began):
                continue
            yield Stray(
                place=place,
                name=entry.name,
                since=None if request is None else request.ended_at,
                account=_account(entry, request, place.instance_id),
                noted=(entry.name if request is None else request.account_name) in noted,
            )


def _requests_of(entries: Iterable[Found], instance_id: int) -> dict[str, AccessRequest]:
    """Return requests by the names of their accounts and by their public ids."""
    names = {entry.name for entry in entries}
    marked = {(entry.marker or "").rpartition(".")[0] for entry in entries} - {""}
    query = select(AccessRequest).where(
        AccessRequest.kind == TEMPORARY_ADMIN,
        AccessRequest.instance_id == instance_id,
        or_(AccessRequest.account_name.in_(names), AccessRequest.public_id.in_(marked)),
    )
    found: dict[str, AccessRequest] = {}
    for request in db.session.scalars(query):
        found |= {request.public_id: request, request.account_name or request.public_id: request}
    return found


def _request_of(
    entry: Found, requests: dict[str, AccessRequest], instance_id: int, runtime: Runtime
) -> AccessRequest | None:
    """Return the request that an entry was made for: the one whose marker it bears, though under a longer name."""
    request = requests.get((entry.marker or "").rpartition(".")[0])
    if request is None or request.account_name is None or not entry.name.startswith(request.account_name):
        return requests.get(entry.name) if entry.ours or entry.marker is None else None
    proven = marker.request_in(entry.marker, instance_id=instance_id, name=request.account_name, keys=runtime.keys)
    return request if proven is not None else None


def _account(entry: Found, request: AccessRequest | None, instance_id: int) -> Account | None:
    """Return what to remove, if our marker proves that it was made by us."""
    if request is not None and request.account_name and entry.marker is not None:
        return Account(
            instance_id=instance_id,
            user_id=request.subject_id or 0,
            request_id=request.id,
            name=request.account_name,
            email=request.account_email or "",
            marker=entry.marker,
        )
    if entry.ours and entry.marker is not None:
        return Account(instance_id=instance_id, user_id=0, request_id=0, name=entry.name, email="", marker=entry.marker)
    return None


def _is_entitled(request: AccessRequest, began: datetime) -> bool:
    """Tell whether the account may be there, or might when the directory was asked."""
    return request.state in WITH_ACCOUNT or (request.ended_at is not None and request.ended_at >= began)


def _gone(entries: Iterable[Found], place: Place, began: datetime) -> list[AccessRequest]:
    there = {entry.name for entry in entries}
    waiting = select(AccessRequest).where(
        AccessRequest.kind == TEMPORARY_ADMIN,
        AccessRequest.instance_id == place.instance_id,
        AccessRequest.connector == place.connector,
        AccessRequest.state.in_(MADE),
        AccessRequest.provisioned_at < began,
    )
    return [request for request in db.session.scalars(waiting) if request.account_name not in there]
