"""The database: one session per request, and ``transaction()``, the only place that commits.

Why a context manager of our own: Flask-Login's read begins a transaction before a view runs, so ``session.begin()``
would say *already begun*; and what must stand at the end of every transaction (the re-check of the acting session,
the audit events) must not depend on anybody's memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ParamSpec, TypeVar, cast

from flask import Flask, current_app
from sqlalchemy import (
    CursorResult,
    Executable,
    MetaData,
    Select,
    Update,
    bindparam,
    inspect,
    select,
)
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Session

from tempadmin import failpoints
from tempadmin.database import Database
from tempadmin.engine import SNAPSHOT, STOPPED_TOO_LONG, WRITING, insert_for, prepare_postgresql, prepare_sqlite
from tempadmin.turns import Turns

SERIALIZATION_FAILURE, DEADLOCK, READ_ONLY = "40001", "40P01", "25006"
BEFORE_COMMIT, AFTER_COMMIT, TURNS = "tempadmin.before_commit", "after_commit", "tempadmin.turns"

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound="Base")
Values = Mapping[str, Any]


class Base(DeclarativeBase):
    """Base of all tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = Database(model_class=Base)


def init_app(app: Flask) -> None:
    """Bind the database to the application."""
    db.init_app(app)
    app.extensions[BEFORE_COMMIT], app.extensions[TURNS] = [], Turns()
    with app.app_context():
        prepare = prepare_sqlite if db.engine.dialect.name == "sqlite" else prepare_postgresql
        prepare(db.engine)


def before_commit(app: Flask) -> list[Callable[[Session], None]]:
    """Return the list of what ``transaction()`` calls before each commit, in order."""
    return cast("list[Callable[[Session], None]]", app.extensions[BEFORE_COMMIT])


def writers_turns(app: Flask) -> Turns:
    """Return the queue of who writes next on SQLite."""
    return cast(Turns, app.extensions[TURNS])


@contextmanager
def transaction(*, as_service: bool = False, joins: bool = False) -> Iterator[Session]:
    """Begin, then commit, or roll back when anything is raised.

    Whatever was read before is forgotten: use cases take ids and read again under lock. On SQLite the writer's lock
    is taken at once (``BEGIN IMMEDIATE``); deferred transactions ended in *database is locked* (measured).

    Parameters
    ----------
    as_service
        The work is the service's own (removal, mail, last-seen times) and not the acting session's, although it
        happens within that session's request: it must not stop because that session ended.
    joins
        The work may be part of a larger one: where a transaction is open it belongs to that, and stands or falls with
        it. For the embedded directory, whose rows lie beside ours.

    Raises
    ------
    RuntimeError
        When a transaction is open already: nested ones would commit half of the outer one.
    """
    session = db.session()
    if session.info.get("in_transaction"):
        if not joins:
            raise RuntimeError("a transaction is open already")
        yield session
        return
    session.rollback()
    session.info.clear()
    dialect = session.get_bind().dialect.name
    with writers_turns(current_app) if dialect == "sqlite" else nullcontext({}) as turn:
        session.info.update(in_transaction=True, as_service=as_service)
        try:
            session.connection(execution_options={**WRITING[dialect], **turn})
            reach = failpoints.opened()
            yield session
            for check in before_commit(current_app):
                check(session)
            reach("before commit")
            session.commit()
        except BaseException:
            session.info.clear()  # first: a rollback over a connection that died raises
            session.rollback()
            raise
    afterwards: list[Callable[[], None]] = session.info.pop(AFTER_COMMIT, [])
    session.info.clear()
    reach("committed")
    for action in afterwards:
        action()


@contextmanager
def snapshot() -> Iterator[None]:
    """Read one state of the database, however many statements that takes, also within another's; write nothing."""
    session = db.session()
    if session.info.get("in_snapshot"):
        yield
        return
    session.rollback()
    session.connection(execution_options=SNAPSHOT[session.get_bind().dialect.name])
    session.info["in_snapshot"] = True
    try:
        yield
    finally:
        session.info.pop("in_snapshot", None)
        session.rollback()


def in_transaction() -> bool:
    """Tell whether ``transaction()`` is open: outside it a lock would be held until somebody happens to roll back."""
    return bool(db.session().info.get("in_transaction"))


def after_commit(action: Callable[[], None]) -> None:
    """Have something done right after the open transaction commits, outside it; not at all if it rolls back."""
    db.session().info.setdefault(AFTER_COMMIT, []).append(action)


def retried_once(use_case: Callable[P, R]) -> Callable[P, R]:
    """Run a use case of one transaction again, once, when PostgreSQL chose it as a deadlock's victim."""

    @functools.wraps(use_case)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return use_case(*args, **kwargs)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in (SERIALIZATION_FAILURE, DEADLOCK):
                raise
            return use_case(*args, **kwargs)

    return run


def is_outage(error: Exception) -> bool:
    """Tell whether the database is away, locked, full or read-only: the same may well succeed a little later."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return True
    # A standby server's refusal is an "internal error" to the driver (measured), and so is the end of a transaction
    # whose process was stopped in the middle for too long.
    return getattr(getattr(error, "orig", None), "sqlstate", None) in (READ_ONLY, STOPPED_TOO_LONG)


@functools.cache
def _by_key(model: type[M], *, locked: bool) -> Select[M]:
    (key,) = inspect(model).primary_key
    row = select(model).where(key == bindparam("identity")).execution_options(populate_existing=True)
    return row.with_for_update() if locked else row


def lock(model: type[M], identity: int) -> M | None:
    """Read a row again and lock it until the transaction ends (SQLite: the writer's lock is held already)."""
    return db.session.scalars(_by_key(model, locked=True), {"identity": identity}).one_or_none()


def fresh(model: type[M], identity: int) -> M | None:
    """Read a row as it is now, whatever was read before."""
    return db.session.scalars(_by_key(model, locked=False), {"identity": identity}).one_or_none()


def run(
    statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
) -> CursorResult[Any]:
    """Run a prebuilt statement on tables, past the session's bookkeeping: for what many requests pay.

    A statement that is built for each call costs several times what it costs to run, and a mapped row three times what
    its columns cost (``make bench``). Mapped rows that were read before do not learn of what it changes.
    """
    session = db.session()
    session.flush()
    return session.connection().execute(statement, values)


def lock_or_make(model: type[M], identity: int | str, **first: Any) -> M:
    """Read a row again and lock it until the transaction ends; make it first when it is missing.

    One statement, so no rival can make or delete the row halfway; and it costs the same whether the row was there.

    Parameters
    ----------
    first
        What the row holds when nobody has made it yet.
    """
    (key,) = inspect(model).primary_key
    row = {key.name: identity, **first}
    made = _lock_or_make(model, db.session.get_bind().dialect.name, tuple(row))
    return cast(M, db.session.scalars(made, {f"new_{name}": value for name, value in row.items()}).one())


@functools.cache
def _lock_or_make(model: type[M], dialect: str, names: tuple[str, ...]) -> Any:
    insert = insert_for(dialect)
    (key,) = inspect(model).primary_key
    new = insert(model).values({name: bindparam(f"new_{name}") for name in names})
    # An UPDATE of the key to itself changes nothing, and locks.
    found = new.on_conflict_do_update(index_elements=[key], set_={key.name: new.excluded[key.name]}).returning(model)
    return found.execution_options(populate_existing=True)


def claimed(statement: Update, values: Values | None = None) -> bool:
    """Run a guarded UPDATE of one row; tell whether this transaction, and no rival, moved it."""
    result = db.session.execute(statement, values)
    return cast(int, result.rowcount) == 1  # type: ignore[attr-defined]
