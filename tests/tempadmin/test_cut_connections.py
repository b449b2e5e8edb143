"""A connection to the database that dies between a request's last statement and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Response
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from tempadmin.db import db, transaction
from tempadmin.errors import Conflict
from tests.conftest import Build
from tests.postgresql import Cluster
from tests.world import World


@pytest.mark.only_postgresql
def test_a_connection_that_is_cut_after_the_last_statement_spoils_no_answer(world: World, cluster: Cluster) -> None:
    """The page stands already, so it is given, and the next one finds a connection that works."""
    cut: list[int] = []

    def cut_once(response: Response) -> Response:
        if not cut:
            cut.append(db.session.execute(text("SELECT pg_backend_pid()")).scalar_one())
            cluster.run(f"SELECT pg_terminate_backend({cut[0]}, 5000)")
        return response

    world.app.after_request(cut_once)
    browser = world.browser()
    assert browser.get("/login").status_code == 200
    assert browser.get("/login").status_code == 200
    assert len(cut) == 1


@pytest.fixture
def uncounted(build: Build) -> World:
    """A world in which no ceiling is counted: its connection would be the one that is cut."""
    return build(rate_limits=False)


@pytest.fixture
def cut_at_rollback(uncounted: World, cluster: Cluster) -> Callable[[], None]:
    """Call it to have the next rollback find that its connection is dead."""
    armed: list[bool] = []

    def cut(connection: Any) -> None:
        if armed:
            armed.clear()
            pid = connection.connection.dbapi_connection.info.backend_pid
            cluster.run(f"SELECT pg_terminate_backend({pid}, 5000)")

    event.listen(db.engine, "rollback", cut)
    return lambda: armed.append(True)


@pytest.mark.only_postgresql
def test_a_refusal_stays_a_refusal_where_the_database_goes_away_before_its_page(
    uncounted: World, cut_at_rollback: Callable[[], None]
) -> None:
    """A form without its token is refused, and the page that says so does without the database."""
    browser = uncounted.browser()
    browser.get("/login")
    cut_at_rollback()
    assert browser.post("/login", {"email": "a@b.example"}, token="").status_code == 403
    assert browser.get("/login").status_code == 200


@pytest.mark.only_postgresql
def test_a_transaction_whose_rollback_fails_leaves_the_way_free_for_the_next(
    uncounted: World, cut_at_rollback: Callable[[], None]
) -> None:
    """The work of the service that comes after it must not be told that a transaction is open already."""

    def refused_by_something_else() -> None:
        with transaction() as session:
            session.execute(text("SELECT 1"))
            cut_at_rollback()
            raise Conflict("Somebody was faster.")

    with pytest.raises(OperationalError):
        refused_by_something_else()
    with transaction() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1
