"""A database that goes back in time: a raw copy of it, put back without a word to anybody."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tempadmin.db import db
from tests.conftest import SQLITE

Back = Callable[[], None]


@pytest.fixture
def take(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Back]]:
    """Copy the present world's database; what is returned puts the copy in its place, as often as one likes."""
    copies: list[str] = []

    def take_file() -> Back:
        copy = tmp_path / f"copy-{len(copies)}.db"
        copies.append(copy.name)
        _copied(Path(db.engine.url.database or ""), copy)

        def back() -> None:
            _forget()
            _copied(copy, Path(db.engine.url.database or ""))

        return back

    def take_database() -> Back:
        cluster, name = request.getfixturevalue("cluster"), db.engine.url.database or ""
        _forget()
        copies.append(copy := cluster.new_database(name))

        def back() -> None:
            _forget()
            cluster.drop(name)
            cluster.run(f'CREATE DATABASE "{name}" TEMPLATE "{copy}" STRATEGY FILE_COPY')

        return back

    yield take_file if database == SQLITE else take_database
    if database != SQLITE:
        for copy in copies:
            request.getfixturevalue("cluster").drop(copy)


def _copied(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)


def _forget() -> None:
    db.session.remove()
    db.engine.dispose()
