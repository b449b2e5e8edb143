"""A connection to the database that dies between a request's last statement and its end."""

from __future__ import annotations

import pytest
from flask import Response
from sqlalchemy import text

from tempadmin.db import db
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
