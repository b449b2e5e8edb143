"""The drill directory: it behaves like a remote one, and badly when it is told to.

It keeps its accounts in a table of its own and shares no transaction with us. Which fault an instance's directory has,
and until when, stands in ``drills``: so every process of an installation meets the same one, and a drill heals by
itself. Tests and ``tempadmin drill`` use it; no fault of it may leave an account behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Event

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from instances.connectors import marker, patience
from instances.connectors.base import Account, ConnectorError, Entry, Found
from instances.connectors.remote import Directory, RemoteConnector
from instances.models import Drill, DrillAccount
from tempadmin.db import db, in_transaction
from tempadmin.runtime import current_runtime

DRILL = "drill"


class Fault(StrEnum):
    """What a directory can do wrong; the values are what ``tempadmin drill`` takes."""

    REFUSES = "refuses"
    HANGS = "hangs"
    TIMES_OUT = "times-out"
    DOES_NOTHING = "does-nothing"
    DOES_IT_AND_ERRS = "does-it-and-errs"
    OTHER_ID = "other-id"
    TWICE = "twice"
    DIES_HALF_WAY = "dies-half-way"


class DrillConnector(RemoteConnector):
    """Makes and removes accounts in the drill directory.

    Parameters
    ----------
    wait
        Lets so many seconds pass while the directory does not answer.
    """

    entry: Entry | None = Entry.PANEL

    def __init__(self, wait: Callable[[float], object] | None = None) -> None:
        super().__init__()
        self._wait = wait or Event().wait

    @contextmanager
    def reach(self, instance_id: int) -> Iterator[Directory]:
        """Reach the drill directory of an instance; whether it answers shows at each step."""
        yield _DrillDirectory(instance_id, lasts=patience.within(self.timeout), wait=self._wait)


class _DrillDirectory(Directory):
    def __init__(self, instance_id: int, *, lasts: timedelta, wait: Callable[[float], object]) -> None:
        self._instance_id, self._lasts, self._wait = instance_id, lasts, wait

    def find(self, account: Account) -> Sequence[Found]:
        """Return entries by name, and by the request in the marker."""
        request = account.marker.rpartition(".")[0]
        wanted = or_(DrillAccount.name == account.name, DrillAccount.marker.startswith(f"{request}.", autoescape=True))
        self._answer()
        return list(_entries(self._instance_id, wanted))

    def add(self, account: Account) -> None:
        """Insert an entry, or what the fault makes of that."""
        fault, now = self._answer(), current_runtime().now()
        if fault is Fault.DOES_NOTHING:
            return
        late = 1.5 * self._lasts if fault is Fault.TIMES_OUT else 0 * self._lasts
        entry = {
            "instance_id": self._instance_id,
            "name": f"{account.name}-1" if fault is Fault.OTHER_ID else account.name,
            "marker": account.marker,
            "created_at": now + late,
        }
        with _connected() as connection:
            connection.execute(insert(DrillAccount), [entry] * (2 if fault is Fault.TWICE else 1))
        self._err_afterwards(fault)

    def empower(self, account: Account, entry: Found) -> None:
        """Make an entry an administrator's."""
        fault = self._answer()
        if fault is Fault.DIES_HALF_WAY:
            raise ConnectorError("the connection broke before the account had its rights")
        self._change(fault, entry, administrator=True)

    def enable(self, account: Account, entry: Found, *, secret: str | None, until: datetime) -> None:
        """Let somebody in by an entry, or what the fault makes of that."""
        fault = self._answer()
        if fault is Fault.DIES_HALF_WAY:
            raise ConnectorError("the connection broke before the account was let in")
        self._change(fault, entry, active=True)
        if self.lets_in(account, entry) is False:
            raise ConnectorError("the directory says that it let the account in, and it did not")
        self._err_afterwards(fault)

    def disable(self, account: Account, entry: Found) -> None:
        """Let nobody in by an entry."""
        fault = self._answer()
        self._change(fault, entry, active=False)

    def delete(self, account: Account, entry: Found) -> None:
        """Delete an entry, or what the fault makes of that."""
        fault = self._answer()
        if fault is Fault.DOES_NOTHING:
            return
        if fault is Fault.DIES_HALF_WAY:
            raise ConnectorError("the connection broke before the account was deleted")
        if fault is Fault.TIMES_OUT:
            self._change(None, entry, gone_at=current_runtime().now() + 1.5 * self._lasts)
        else:
            with _connected() as connection:
                connection.execute(delete(DrillAccount).where(DrillAccount.id == int(entry.id)))
        self._err_afterwards(fault)

    def listed(self) -> Iterator[Found]:
        """Yield what carries our marker or begins with the reserved prefix."""
        self._answer()
        prefix = current_runtime().settings.user_prefix
        reserved = or_(DrillAccount.name.istartswith(prefix, autoescape=True), DrillAccount.marker.is_not(None))
        yield from _entries(self._instance_id, reserved)

    def lets_in(self, account: Account, entry: Found) -> bool | None:
        """Tell whether an entry is active."""
        self._answer()
        with _connected() as connection:
            return connection.scalar(select(DrillAccount.active).where(DrillAccount.id == int(entry.id)))

    def probe(self) -> Iterator[str]:
        """See whether it answers."""
        self._answer()
        yield "The drill directory answers."

    def _answer(self) -> Fault | None:
        """Return the fault that a directory which answers at all has now."""
        if in_transaction():
            raise RuntimeError("a directory elsewhere is never called inside a transaction (design §2)")
        fault = present_fault(self._instance_id)
        if fault is Fault.REFUSES:
            raise ConnectorError("the directory refuses")
        if fault is Fault.HANGS:
            self._wait(self._lasts.total_seconds())
            raise ConnectorError("the directory does not answer")
        return fault

    def _change(self, fault: Fault | None, entry: Found, **values: bool | datetime) -> None:
        if fault is not Fault.DOES_NOTHING:
            with _connected() as connection:
                connection.execute(update(DrillAccount).where(DrillAccount.id == int(entry.id)).values(**values))

    def _err_afterwards(self, fault: Fault | None) -> None:
        if fault is Fault.TIMES_OUT:
            self._wait(self._lasts.total_seconds())
            raise ConnectorError("no answer in time")
        if fault is Fault.DOES_IT_AND_ERRS:
            raise ConnectorError("the directory says that something went wrong")
        if fault is Fault.DIES_HALF_WAY:
            raise ConnectorError("the connection broke")


def present_fault(instance_id: int) -> Fault | None:
    """Return the fault of an instance's drill directory, or ``None`` while it is healthy."""
    lasting = select(Drill.fault).where(Drill.instance_id == instance_id, Drill.until > current_runtime().now())
    with _connected() as connection:
        fault = connection.scalar(lasting)
    return None if fault is None else Fault(fault)


def set_fault(instance_id: int, fault: Fault | None, *, until: datetime) -> None:
    """Give an instance's drill directory a fault until then, or heal it; for every process at once."""
    with _connected() as connection:
        connection.execute(delete(Drill).where(Drill.instance_id == instance_id))
        if fault is not None:
            connection.execute(insert(Drill), {"instance_id": instance_id, "fault": fault, "until": until})


def _entries(instance_id: int, wanted: ColumnElement[bool]) -> Iterator[Found]:
    keys, now = current_runtime().keys, current_runtime().now()
    there = and_(DrillAccount.created_at <= now, or_(DrillAccount.gone_at.is_(None), DrillAccount.gone_at > now))
    columns = (DrillAccount.id, DrillAccount.name, DrillAccount.marker)
    query = select(*columns).where(DrillAccount.instance_id == instance_id, there, wanted)
    with _connected() as connection:
        rows = connection.execute(query.order_by(DrillAccount.id)).all()
    for row_id, name, mark in rows:
        ours = marker.request_in(mark, instance_id=instance_id, name=name, keys=keys) is not None
        yield Found(id=str(row_id), name=name, marker=mark, ours=ours)


@contextmanager
def _connected() -> Iterator[Connection]:
    """Connect past our session, as a directory elsewhere: what it does stands, whatever becomes of our transaction."""
    with db.engine.connect().execution_options(write=True) as connection, connection.begin():
        yield connection
