"""A scrape when something is wrong, what it costs, and what it never says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import event, text

from tempadmin.db import db, transaction
from tests.breakage import write
from tests.metrics.scraping import TOKEN, ask, scrape
from tests.world import CONSOLE, World


@pytest.mark.parametrize("change", ["DROP TABLE outbox_messages", "ALTER TABLE tickets RENAME TO elsewhere"])
def test_what_cannot_be_read_is_left_out_and_said(change: str, told: World) -> None:
    """A database that does not answer is a figure, too: no error, and what was counted is still told."""
    told.browser().get("/login")
    with transaction() as session:
        session.execute(text(change))
    found = scrape(told)
    assert found.value("tempadmin_up") == 0
    assert "tempadmin_tickets_issued_total" not in found.names()
    assert found.value(
        "tempadmin_http_request_duration_seconds_count", route="accounts.sign_in_page", method="GET", status="2xx"
    )


def test_a_row_that_cannot_be_read_costs_its_own_figures_alone(told: World) -> None:
    """A state that is none (S36): removals and mails are told all the same."""
    told.ask(told.signed_in(), "acme")
    write("access_requests", "state", "melted", row_id=told.newest_request().id)
    found = scrape(told)
    assert found.value("tempadmin_up") == 0
    assert "tempadmin_access_requests" not in found.names()
    assert found.value("tempadmin_removals_pending") == 0
    assert found.value("tempadmin_tickets_issued_total", purpose="confirm") == 1


def test_a_scrape_is_few_statements_that_cannot_take_long(told: World) -> None:
    """It costs the database next to nothing, however much there is, and writes nothing."""
    said: list[Any] = []
    event.listen(db.engine, "before_cursor_execute", lambda *call: said.append(call[2]))
    ask(told)
    assert len(said) <= 13, said
    assert not [one for one in said if not one.lstrip().upper().startswith(("SELECT", "SET LOCAL", "BEGIN"))]
    if db.engine.dialect.name == "postgresql":
        assert "statement_timeout" in said[0]


@pytest.mark.only_sqlite
def test_a_scrape_reads_no_large_table_from_end_to_end(told: World) -> None:
    """Requests, tickets and mails of years are counted by indexes alone (825 ms without: measured)."""
    asked: list[tuple[str, Any]] = []
    event.listen(db.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    ask(told)
    with db.engine.connect() as connection:
        selects = [(words, values) for words, values in asked.copy() if words.startswith("SELECT")]
        plans = [
            step.detail
            for words, values in selects
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", values)
        ]
    assert any("access_requests" in step for step in plans)
    large = re.compile(r"SCAN (access_requests|tickets|outbox_messages|activity|audit_events)(?! USING COVERING INDEX)")
    assert [step for step in plans if large.match(step)] == []


def test_p12_no_secret_ever_is_in_a_scrape(told: World) -> None:
    """Tickets, codes, cookies, names, addresses, reasons: none of the whole way in, refusals included."""
    browser = told.signed_in()
    request = told.enter(browser)
    link = told.confirmation_link()
    browser.get(link)
    browser.get(CONSOLE + "/nobody/knows/what@this.is?key=abcdefghijklmnopqrstuvwxyz")
    told_text = scrape(told).text
    secrets = {link.partition("key=")[2], request.public_id, TOKEN, "ada@", "Ada", "acme", "Acme", "nobody"}
    secrets |= {str(cookie.value) for cookie in (browser.client._cookies or {}).values()}
    secrets |= set(re.findall(r"(?:key|code)=([\w.-]+)", " ".join(browser.trail)))
    assert len(secrets) > 11
    assert {one for one in secrets - {""} if one in told_text} == set()
