"""Making the account in the very transaction that asks for it, where its directory is our own database.

A directory elsewhere has its intent committed before it is called, for what it does stands whatever becomes of us
(``provision``). What the embedded one does is undone with our transaction: there is no moment between intent and
outcome at which anybody could die, or end the request (docs/decisions/0012-account-and-request-at-once.md).
"""

from __future__ import annotations

from datetime import datetime

from instances.connectors.base import ConnectorError
from instances.connectors.registry import connector_for
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets.accounts import account
from tickets.models import AccessRequest
from tickets.provision import await_confirmation, record_made
from tickets.reserve import reserve


class NotMadeError(Exception):
    """The account could not be made; the transaction that asked for it has to go, and ask again without it."""


def make_at_once(request: AccessRequest, *, now: datetime, runtime: Runtime) -> bool:
    """Make the account of a request that the open transaction adds; it then awaits its confirmation.

    Nobody else knows of the request before the commit, so nobody can have ended it: it is wanted.

    Returns
    -------
    bool
        Whether it was made; not so where its directory is called outside of transactions.

    Raises
    ------
    NotMadeError
        When the directory failed.
    """
    try:
        connector = connector_for(request.connector)
    except ConnectorError:
        return False
    if not connector.joins:
        return False
    named = reserve(request, now=now, runtime=runtime)
    asked_for = account(request.id, request.public_id, request.instance_id, *named)
    if asked_for is None:
        raise RuntimeError("an account was reserved without a name")
    try:
        reach("before create")
        connector.create(asked_for, still_wanted=lambda: None)
        reach("after create")
    except Exception as error:
        raise NotMadeError from error
    subject_id, name, email = named
    made = {"subject_id": subject_id, "account_name": name, "account_email": email, "create_attempts": 1}
    await_confirmation(request, now=now, runtime=runtime, **made)
    record_made(request, now=now)
    return True
