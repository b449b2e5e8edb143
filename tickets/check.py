"""The whole way of an account at an instance, walked with one that is thrown away: made, let in, shut, removed.

It belongs to no request, so it is noted as a leftover before it is made: whoever dies on the way leaves the note, and
the removal job goes on with it (P1). The job leaves it alone until no create that was sent can take effect any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from time import perf_counter

import structlog
from sqlalchemy import select

from instances.connecting import find_customer
from instances.connection_trial import check_connection
from instances.connectors import marker
from instances.connectors.base import Account, Connector, ConnectorError, Entry
from instances.connectors.registry import connector_for
from instances.connectors.remote import RemoteConnector
from instances.connectors.settings import masked
from instances.models import VirtualInstance
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict
from tempadmin.runtime import Runtime
from tickets import check_steps, credential, entries, leftovers
from tickets.check_steps import Throwaway

LOWEST, HIGHEST = 1_000_000_000, 2_000_000_000
"""Numbers of throw-away accounts: far from any user's id, which some directories derive a number from."""
CALLS = 12
"""How many calls of a connector there are at most, each as long as its time-out."""
WHY = "it was made to check the connection"
MAYBE_LATE = "what failed may take effect a little later, so the removal job looks once more, in a minute"
NOT_GONE = "it may still be there; the removal job goes on with it"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the way."""

    what: str
    seconds: float
    error: str | None = None
    """Why it failed, without any secret (P12)."""
    setting: str | None = None
    """The connector's setting that is at fault, where that is known."""


def check_instance(*, web_id: str, runtime: Runtime) -> Generator[Step]:
    """Walk the whole way at an instance; yield each step. Whatever fails, the account is removed at the end.

    Raises
    ------
    NotFound, Conflict
        When there is no such customer's instance.
    """
    instance_id = find_customer(web_id)
    began, steps = perf_counter(), check_connection(instance_id=instance_id)
    while True:
        try:
            said = next(steps, None)
        except ConnectorError as error:
            yield _failed("reach the directory", began, error)
            return
        if said is None:
            break
        yield Step(what=said, seconds=perf_counter() - began)
        began = perf_counter()
    instance = db.session.get_one(VirtualInstance, instance_id)
    name, (entry, nobody) = instance.connector, _way_in(instance)
    db.session.rollback()
    connector = connector_for(name)
    if isinstance(connector, RemoteConnector):
        yield from _walk(_noted(instance_id, name, connector, entry, runtime))
    if nobody:
        yield Step(what=nobody, seconds=0)


def _way_in(instance: VirtualInstance) -> tuple[Entry | None, str]:
    """Return how people get in, or ``None`` and what is missing: a product may well be registered afterwards."""
    try:
        return entries.entry_of(instance), ""
    except Conflict as error:
        return None, error.message


def _noted(instance_id: int, name: str, connector: Connector, entry: Entry | None, runtime: Runtime) -> Throwaway:
    """Name an account that nobody asked for, and note that it must go."""
    number = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
    called, request = f"{runtime.settings.user_prefix}_0_{number}", f"check{number}"
    account = Account(
        instance_id=instance_id,
        user_id=number,
        request_id=0,
        name=called,
        email=f"{called}@{runtime.settings.user_email_domain}",
        marker=marker.make(request=request, instance_id=instance_id, name=called, keys=runtime.keys),
    )
    with transaction(as_service=True) as session:
        # Held against a change of the connection, which counts this note, or was made before it.
        here = select(VirtualInstance.connector).where(VirtualInstance.id == instance_id).with_for_update(read=True)
        if session.scalar(here) != name:
            raise Conflict("The connection was changed meanwhile.")
        now = runtime.now()
        due = now + CALLS * connector.timeout
        leftover_id = leftovers.add_note(account, connector=name, why=WHY, now=now, due=due)
    return Throwaway(
        connector=name,
        account=account,
        secret=credential.new_password() if entry is Entry.CREDENTIAL else None,
        leftover_id=leftover_id,
        runtime=runtime,
    )


def _walk(one: Throwaway) -> Iterator[Step]:
    """Go on until a step fails; then, in any case, remove the account and look whether it is gone."""
    way: tuple[tuple[str, Callable[[Throwaway], str | None]], ...] = (
        (f"make {one.account.name}, shut", check_steps.make),
        ("let it in", check_steps.let_in),
        ("get in by its password", check_steps.get_in),
        ("shut it again", check_steps.shut),
    )
    failed = None
    for what, act in way:
        step = _taken(what, act, one)
        if step is not None:
            yield step
        if step is not None and step.error is not None:
            failed = act
            break
    for what, act in (("remove it", check_steps.remove), ("read back that it is gone", check_steps.is_gone)):
        step = _taken(what, act, one)
        if step is not None:
            yield step
    # A create that failed may yet take effect: whoever looks before that finds nothing, and calls it gone too early.
    if failed is check_steps.make:
        yield Step(what="call it gone", seconds=0, error=MAYBE_LATE)
    elif not leftovers.remove(leftover_id=one.leftover_id, runtime=one.runtime, now_due=True):
        yield Step(what="call it gone", seconds=0, error=NOT_GONE)


def _taken(what: str, act: Callable[[Throwaway], str | None], one: Throwaway) -> Step | None:
    """Take a step; ``None`` when there is nothing to do in this directory."""
    began = perf_counter()
    hidden = () if one.secret is None else (one.secret,)
    try:
        said = act(one)
    except (ConnectorError, Conflict) as error:
        return _failed(what, began, error, hidden)
    except Exception as error:  # noqa: BLE001 - whatever a library raises; what it says may hold a secret
        log.warning("check.failed", step=what, error=type(error).__name__)
        return _failed(what, began, ConnectorError(type(error).__name__))
    finally:
        db.session.rollback()
    if said is None:
        return None
    told = f"{what}: {masked(said, hidden)}" if said else what
    return Step(what=told, seconds=perf_counter() - began)


def _failed(what: str, began: float, error: ConnectorError | Conflict, hidden: tuple[str, ...] = ()) -> Step:
    setting = error.setting if isinstance(error, ConnectorError) else None
    return Step(what=what, seconds=perf_counter() - began, error=masked(str(error), hidden), setting=setting)
