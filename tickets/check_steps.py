"""The steps of a check: each says how it went, in words or with none, and raises what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from instances.connectors.remote import Directory, RemoteConnector, entry_of
from instances.connectors.remote import make as make_account
from tempadmin.db import db
from tempadmin.errors import Conflict
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets.leftover_model import Leftover

STILL_THERE = "the account is still there"


@dataclass(frozen=True, kw_only=True)
class Throwaway:
    """An account that nobody asked for, and the note that it must go."""

    connector: str
    account: Account
    secret: str | None
    """Its password, where it is entered by one."""
    leftover_id: int
    runtime: Runtime


def make(one: Throwaway) -> str:
    """Make it, shut; look whether it is."""
    connector = _remote(one.connector)
    reach("before reached")
    with connector.reached(one.account.instance_id) as directory:
        make_account(directory, one.account, still_wanted=lambda: _still_in_time(one))
        lets_in = directory.lets_in(one.account, entry_of(directory, one.account))
    reach("after reached")
    if lets_in:
        raise ConnectorError("it was asked for as one that lets nobody in, and somebody could get in by it")
    return "" if lets_in is None else "read back as one that lets nobody in"


def let_in(one: Throwaway) -> str:
    """Let it in, for ten minutes at most."""
    until = one.runtime.now() + timedelta(minutes=10)
    reach("before activate")
    connector_for(one.connector).activate(one.account, secret=one.secret, until=until, still_wanted=lambda: None)
    reach("after activate")
    return "" if _lets_in(one, expected=True) is None else "read back as one that lets somebody in"


def get_in(one: Throwaway) -> str | None:
    """Get in, where the account has a password and the directory knows how to try one."""
    said: list[str] = []
    if one.secret is not None:
        connector = _remote(one.connector)
        reach("before reached")
        with connector.reached(one.account.instance_id) as directory:
            said.extend(directory.try_entry(one.account, one.secret))
        reach("after reached")
    return "; ".join(said) or None


def shut(one: Throwaway) -> str:
    """Let nobody in any more."""
    connector = _remote(one.connector)
    reach("before reached")
    with connector.reached(one.account.instance_id) as directory:
        directory.disable(one.account, entry_of(directory, one.account))
        _require_refusal(directory, one)
    reach("after reached")
    return "" if _lets_in(one, expected=False) is None else "read back as one that lets nobody in"


def _require_refusal(directory: Directory, one: Throwaway) -> None:
    try:
        said = () if one.secret is None else tuple(directory.try_entry(one.account, one.secret))
    except ConnectorError:
        return
    if said:
        raise ConnectorError("somebody still gets in by its password")


def _lets_in(one: Throwaway, *, expected: bool) -> bool | None:
    """Read back whether somebody could get in; ``None`` where the directory cannot tell.

    Raises
    ------
    ConnectorError
        When it is not as expected.
    """
    connector = _remote(one.connector)
    reach("before reached")
    with connector.reached(one.account.instance_id) as directory:
        lets_in = directory.lets_in(one.account, entry_of(directory, one.account))
    reach("after reached")
    if lets_in is not None and lets_in != expected:
        raise ConnectorError(f"the directory said yes, and {'nobody' if expected else 'somebody'} can get in by it")
    return lets_in


def remove(one: Throwaway) -> str:
    """Remove it, as the end of an access does."""
    reach("before remove")
    connector_for(one.connector).remove(one.account)
    reach("after remove")
    return ""


def is_gone(one: Throwaway) -> str:
    """Read back that it is gone."""
    reach("before exists")
    there = connector_for(one.connector).exists(one.account)
    reach("after exists")
    if there:
        raise ConnectorError(STILL_THERE)
    return ""


def _still_in_time(one: Throwaway) -> None:
    """Require that a create that is sent now takes effect before the job looks after the account, if at all.

    Raises
    ------
    Conflict
        When it is too late, or the account is being removed.
    """
    due = db.session.scalar(select(Leftover.next_attempt_at).where(Leftover.id == one.leftover_id))
    db.session.rollback()
    if due is None or one.runtime.now() + 2 * connector_for(one.connector).timeout > due:
        raise Conflict("This took too long, so the account was not made.")


def _remote(name: str) -> RemoteConnector:
    connector = connector_for(name)
    if not isinstance(connector, RemoteConnector):
        raise ConnectorError("the connector was changed meanwhile")
    return connector
