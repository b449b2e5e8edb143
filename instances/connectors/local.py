"""The embedded connector: the instance's users are rows of our own table.

Its transactions are short, so it can ask ``still_wanted`` inside them: a create that comes after the end of its
request changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from instances.connectors.base import Account, ConnectorError, Entry, Found
from tempadmin.accounts import sessions
from tempadmin.accounts.models import ADMINISTRATOR, TEMPORARY, LoginSession, User
from tempadmin.db import db, in_transaction, run, transaction
from tempadmin.runtime import current_runtime

BATCH = 50

# Built once: each access begins and ends with these.
_USERS = cast(Table, User.__table__)
_THESE = _USERS.c.id.in_(bindparam("users", expanding=True))
_FACTS = "id", "kind", "role", "screen_name", "access_request_id", "instance_id"
LOCK = select(*(_USERS.c[name] for name in _FACTS)).where(_THESE).order_by(_USERS.c.id).with_for_update()
MAKE_ADMINISTRATOR = update(_USERS).where(_THESE).values(role=ADMINISTRATOR)
DISABLE = update(_USERS).where(_THESE).values(active=False)
DELETE = delete(_USERS).where(_THESE, _USERS.c.kind == TEMPORARY)
STILL_THERE = select(_USERS.c.id, _USERS.c.screen_name).where(_THESE, _USERS.c.kind == TEMPORARY)


class LocalConnector:
    """Makes and removes accounts in the embedded directory."""

    entry: Entry | None = Entry.PANEL
    elsewhere = False
    joins = True
    timeout = timedelta(seconds=5)
    batch = BATCH

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        """Complete the reserved row: administrator, still inactive. Lock order: the user's row, then the request's.

        As part of the open transaction where there is one: then account and intent stand or fall together.
        """
        with transaction(as_service=True, joins=True):
            row = run(LOCK, {"users": [account.user_id]}).one_or_none()
            still_wanted()
            if row is None:
                raise ConnectorError("the reserved account is gone", permanent=True)
            _refuse_stranger(row, account)
            if row.role != ADMINISTRATOR:
                run(MAKE_ADMINISTRATOR, {"users": [account.user_id]})

    def activate(
        self, account: Account, *, secret: str | None, until: datetime, still_wanted: Callable[[], None]
    ) -> None:
        """Nothing to do: the redemption's own transaction activates the row."""

    def made_by(self, account: Account) -> Sequence[str]:
        """Nothing: what is made in the control panel stands in the activity."""
        return ()

    def sign_in_hint(self, account: Account) -> Mapping[str, str]:
        """Nothing: the hand-off signs in."""
        return {}

    def exists(self, account: Account) -> bool:
        """Read back whether the row is there."""
        db.session.rollback()
        return _read(account) is not None

    def listed(self, instance_id: int) -> Iterator[Found]:
        """Yield temporary accounts, ours by record, and regular ones of a reserved name (P7)."""
        db.session.rollback()
        prefix = current_runtime().settings.user_prefix
        reserved = or_(User.kind == TEMPORARY, User.email.istartswith(prefix, autoescape=True))
        for user in db.session.scalars(select(User).where(User.instance_id == instance_id, reserved).order_by(User.id)):
            name = user.screen_name or user.email.partition("@")[0]
            yield Found(id=str(user.id), name=name, marker=None, ours=user.kind == TEMPORARY)

    def remove(self, account: Account) -> None:
        """Disable, end sessions, delete, read back."""
        error = self.remove_many([account])[account.user_id]
        if error is not None:
            raise error

    def remove_many(self, accounts: Sequence[Account]) -> Mapping[int, ConnectorError | None]:
        """Remove in batches of one transaction each, then read back; all of it in the open one where there is one."""
        if in_transaction():
            return _delete_and_read_back(accounts)
        outcome: dict[int, ConnectorError | None] = {}
        ordered = sorted(accounts, key=lambda one: one.user_id)
        for at in range(0, len(ordered), BATCH):
            batch = ordered[at : at + BATCH]
            try:
                outcome |= _delete(batch)
            except SQLAlchemyError:
                # One account that will not go must not keep the others of its batch.
                outcome |= {account.user_id: _delete_alone(account) for account in batch}
            db.session.rollback()
            outcome |= _read_back(batch, outcome)
        return outcome


def _delete_and_read_back(accounts: Sequence[Account]) -> Mapping[int, ConnectorError | None]:
    outcome = _delete(accounts)
    return outcome | _read_back(accounts, outcome)


def _delete(batch: Sequence[Account]) -> dict[int, ConnectorError | None]:
    """Disable, end sessions, delete, in one transaction; all users are locked before any session (design §2)."""
    outcome: dict[int, ConnectorError | None] = {}
    ours: list[int] = []
    is_part = in_transaction()
    with transaction(as_service=True, joins=True):
        rows = {row.id: row for row in run(LOCK, {"users": [account.user_id for account in batch]})}
        for account in batch:
            outcome[account.user_id] = None
            row = rows.get(account.user_id)
            if row is None:
                continue
            try:
                _refuse_stranger(row, account)
            except ConnectorError as error:
                outcome[account.user_id] = error
            else:
                ours.append(row.id)
        if not is_part:  # else nobody ever saw the row disabled: it is gone with that transaction, or as it was before
            run(DISABLE, {"users": ours})
            live = select(LoginSession.id).where(LoginSession.user_id.in_(ours), LoginSession.ended_at.is_(None))
            sessions.revoke(db.session.scalars(live).all(), reason="account_removed", now=current_runtime().now())
        run(DELETE, {"users": ours})
    return outcome


def _delete_alone(account: Account) -> ConnectorError | None:
    try:
        return _delete([account])[account.user_id]
    except SQLAlchemyError as error:
        return ConnectorError(f"the database refused: {type(error).__name__}")


def _read_back(
    accounts: Sequence[Account], outcome: Mapping[int, ConnectorError | None]
) -> dict[int, ConnectorError | None]:
    """Return of those that were deleted what is there after all, under its exact name."""
    names = {account.user_id: account.name for account in accounts if outcome[account.user_id] is None}
    there = run(STILL_THERE, {"users": list(names)})
    return {row.id: ConnectorError("the account is still there") for row in there if row.screen_name == names[row.id]}


def _read(account: Account) -> User | None:
    return db.session.scalars(
        select(User).where(User.id == account.user_id, User.kind == TEMPORARY, User.screen_name == account.name)
    ).one_or_none()


def refuse_stranger(account: Account) -> None:
    """Compare the reserved row, if it is there, with the account that a call speaks of; raises as ``remove``."""
    db.session.rollback()
    row = db.session.get(User, account.user_id)
    if row is not None:
        _refuse_stranger(row, account)


def _refuse_stranger(row: Any, account: Account) -> None:
    """Compare kind, exact name and our marker before anything is changed."""
    ours = (row.kind, row.screen_name, row.access_request_id, row.instance_id)
    if ours != (TEMPORARY, account.name, account.request_id, account.instance_id):
        raise ConnectorError(f"account {account.user_id} is not the one that was asked for", permanent=True)
