"""Virtual instances come and go: created, imported, archived; never deleted, for the record speaks of them."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime

import idna
from blinker import Signal
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from instances.hosts import base_host
from instances.models import VirtualInstance
from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession
from tempadmin.accounts.people import cleaned_name
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Invalid, NotFound
from tempadmin.runtime import Runtime, application

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
LONGEST_HOST = 253

instance_archived = Signal()
"""Sent with ``instance_id`` and ``at`` in the transaction that archives, before sessions are locked."""


def create_default(*, web_id: str, name: str, actor: Actor, runtime: Runtime) -> int:
    """Create the operator's own instance; return its id.

    Raises
    ------
    Conflict
        When there is one: it is exactly one.
    """
    with transaction():
        if db.session.scalar(select(VirtualInstance.id).where(VirtualInstance.is_default)):
            raise Conflict("There is a default instance already; it is exactly one.")
        return _add(web_id=web_id, name=name, host=None, actor=actor, now=runtime.now())


def create_instance(*, web_id: str, name: str, host: str, actor: Actor, runtime: Runtime) -> int:
    """Create a customer's instance; return its id.

    Raises
    ------
    Invalid
        When web id, name or host name cannot be taken.
    Conflict
        When web id or host name are taken.
    """
    with transaction():
        return add_instance(web_id=web_id, name=name, host=host, actor=actor, now=runtime.now(), runtime=runtime)


def add_instance(*, web_id: str, name: str, host: str, actor: Actor, now: datetime, runtime: Runtime) -> int:
    """Add a customer's instance to the open transaction; raises as ``create_instance``."""
    return _add(web_id=web_id, name=name, host=checked_host(host, runtime=runtime), actor=actor, now=now)


@retried_once
def archive_instance(*, web_id: str, actor: Actor, runtime: Runtime) -> None:
    """Archive an instance: it answers no more, its sessions and all accesses to it end at once (S23).

    Raises
    ------
    NotFound
        When there is none of this web id.
    Conflict
        When it is the default instance, or archived already.
    """
    with transaction():
        instance_id = db.session.scalar(select(VirtualInstance.id).where(VirtualInstance.web_id == web_id))
        row = None if instance_id is None else lock(VirtualInstance, instance_id)
        if row is None:
            raise NotFound(f"There is no instance {web_id}.")
        if row.is_default or row.archived_at is not None:
            raise Conflict("This instance cannot be archived: it is the default one, or archived already.")
        now = runtime.now()
        row.archived_at = now
        app = application()
        instance_archived.send(app, instance_id=row.id, at=now)
        live = select(LoginSession.id).where(LoginSession.instance_id == row.id, LoginSession.ended_at.is_(None))
        sessions.revoke(db.session.scalars(live).all(), reason="instance_archived", now=now)
        record("instance.archived", instance_id=row.id, actor=actor, at=now, web_id=web_id)


def checked_host(text: str, *, runtime: Runtime) -> str:
    """Return a host name as it is stored: lower-case A-label, without port.

    Raises
    ------
    Invalid
        When it is no host name, has a port, is an IP address, or is the console's own.
    """
    host = text.strip().lower().rstrip(".")
    if _is_address(host):
        raise Invalid("An IP address is no host name: acme.example.com", field="host")
    if ":" in host or "/" in host:
        raise Invalid("A host name has no port and no path: acme.example.com", field="host")
    try:
        ascii_host = idna.encode(host, uts46=True).decode().lower()
    except idna.IDNAError as error:
        raise Invalid(f"This is not a host name: {error}", field="host") from None
    if len(ascii_host) > LONGEST_HOST or not all(LABEL.fullmatch(label) for label in ascii_host.split(".")):
        raise Invalid("A host name has letters, digits, hyphens and dots only.", field="host")
    if _is_address(ascii_host):
        raise Invalid("An IP address is no host name: acme.example.com", field="host")
    if ascii_host == base_host(runtime.settings):
        raise Invalid("This is the console's own host name.", field="host")
    return ascii_host


def _add(*, web_id: str, name: str, host: str | None, actor: Actor, now: datetime) -> int:
    if not LABEL.fullmatch(web_id):
        raise Invalid("A web id has 1 to 63 lower-case letters, digits and inner hyphens.", field="web_id")
    if db.session.scalar(select(VirtualInstance.id).where(VirtualInstance.web_id == web_id)):
        raise Conflict(f"The web id {web_id} is taken.")
    taken = select(VirtualInstance.id).where(VirtualInstance.virtual_hostname == host)
    if host is not None and db.session.scalar(taken):
        raise Conflict(f"The host name {host} is taken.")
    return add_row(web_id=web_id, name=cleaned_name(name), host=host, actor=actor, now=now).id


def add_row(*, web_id: str, name: str, host: str | None, actor: Actor, now: datetime) -> VirtualInstance:
    """Add what was checked before to the open transaction, with its audit event.

    Raises
    ------
    Conflict
        When web id or host name were taken meanwhile.
    """
    row = VirtualInstance(web_id=web_id, name=name, virtual_hostname=host, is_default=host is None, created_at=now)
    db.session.add(row)
    try:
        db.session.flush()
    except IntegrityError:  # somebody else took one of them since they were checked
        raise Conflict(f"The web id {web_id} or its host name was taken a moment ago.") from None
    record("instance.created", instance_id=row.id, actor=actor, at=now, web_id=web_id, host=host)
    return row


def _is_address(host: str) -> bool:
    """Tell whether a browser would take this for an IP address: ``127.1`` and ``0x7f.1`` are some, says WHATWG."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return NUMBER.fullmatch(host.rpartition(".")[2]) is not None
    return True
