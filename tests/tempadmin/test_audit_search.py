"""A search in the record goes through a part of it, and on to the earlier ones by a link."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from tempadmin.audit.models import AuditEvent
from tempadmin.audit.queries import SEARCHED_AT_ONCE
from tempadmin.db import transaction
from tests.browser import Browser
from tests.effort import effort
from tests.world import CONSOLE, World


def put(world: World, details: list[str]) -> None:
    """Add events; nobody asks here whether their chain holds."""
    same: dict[str, Any] = {"instance_id": 99, "occurred_at": world.clock.now(), "event": "e", "actor_name": "Ada"}
    same |= {"previous_hash": "0" * 64, "hash": "0" * 64}
    rows = [{**same, "number": number, "details": words} for number, words in enumerate(details, 1)]
    with transaction() as session:
        session.execute(insert(AuditEvent), rows)


def earlier(browser: Browser) -> list[str]:
    """How often the link was followed to what it had found."""
    found = []
    while "Search earlier events" in browser.text:
        found.append(browser.text)
        assert browser.get(browser.link(r"/audit\?q=[^\"]+until=\d+")).status_code == 200
    return [*found, browser.text]


@pytest.mark.only_sqlite
def test_a_search_goes_through_a_part_of_the_record_and_the_link_through_the_rest(world: World) -> None:
    """What is nowhere costs what a part costs, however long the record is; what is far back is found all the same."""
    world.omniadmin()
    put(world, ['{"what": "the needle"}', *["{}"] * 2 * SEARCHED_AT_ONCE])
    browser = world.signed_in()
    with effort() as spent:
        browser.get(CONSOLE + "/audit?q=needle")
    assert sum(spent.values()) < 25 * SEARCHED_AT_ONCE
    assert "No events match" in browser.text
    first, second, last = earlier(browser)
    assert "the needle" not in first + second
    assert "what: the needle" in last
    assert "Search earlier events" not in last


def test_a_search_that_was_through_with_everything_offers_no_more(world: World) -> None:
    """A short record is searched at once, and nonsense in the address means its end."""
    world.omniadmin()
    browser = world.signed_in()
    for address in ("/audit?q=signed", "/audit?q=signed&until=x", "/audit?q=signed&until=" + "9" * 18):
        browser.get(CONSOLE + address)
        assert "Session: signed in" in browser.text
        assert "Search earlier events" not in browser.text
