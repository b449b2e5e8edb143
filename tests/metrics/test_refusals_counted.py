"""Each ticket that is refused is counted once, by its purpose and reason."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from tempadmin.accounts.models import User
from tempadmin.db import db, transaction
from tests.metrics.scraping import scrape
from tests.world import CONSOLE, World
from tickets.models import CONFIRM, LOGIN, AccessRequest
from tickets.refusals import REFUSED, Why

ACME = "http://acme.localhost:8000"


def counted(world: World) -> dict[tuple[str, str], float]:
    """What was refused so far, the zeros left out."""
    found = scrape(world)
    values = {(one["purpose"], one["reason"]): found.value(REFUSED.name, **one) for one in found.labels(REFUSED.name)}
    return {key: value for key, value in values.items() if value}


def test_keys_that_are_none_are_unknown(told: World) -> None:
    """Garbled, forged, and of the other purpose."""
    browser = told.signed_in()
    told.ask(browser, "acme")
    key = told.confirmation_link().partition("key=")[2]
    for address in (f"{CONSOLE}/access/confirm?key=nonsense", f"{ACME}/login/ticket?key={key}"):
        assert browser.get(address).status_code == 404
    assert counted(told) == {(CONFIRM, Why.UNKNOWN): 1, (LOGIN, Why.UNKNOWN): 1}


def test_a_link_that_has_done_its_work_is_used_or_over(told: World) -> None:
    """The confirmation of a confirmed request, the sign-in link of an entered one."""
    browser = told.signed_in()
    told.ask(browser, "acme")
    confirmation = told.confirmation_link()
    link = told.confirm(browser)
    assert browser.get(confirmation).status_code == 409
    assert browser.get(link, follow=True).status_code == 200
    assert browser.get(link).status_code == 410
    assert counted(told) == {(CONFIRM, Why.OVER): 1, (LOGIN, Why.USED): 1}


def test_links_that_were_replaced_or_came_too_late(told: World) -> None:
    """Voided by a newer one, and expired."""
    browser = told.signed_in()
    request = told.ask(browser, "acme")
    first = told.confirmation_link()
    browser.get(f"{CONSOLE}/access/{request.public_id}")
    browser.post(f"{CONSOLE}/access/{request.public_id}/send-again", follow=True)
    assert browser.get(first).status_code == 410
    told.clock.advance(minutes=6)
    assert browser.get(told.confirmation_link()).status_code == 410
    assert counted(told) == {(CONFIRM, Why.VOIDED): 1, (CONFIRM, Why.EXPIRED): 1}


def test_a_wrong_code_is_counted(told: World) -> None:
    """A guess, and not the form that was left empty."""
    browser = told.signed_in()
    told.ask(browser, "acme")
    link = told.confirmation_link()
    browser.get(link)
    browser.post(link, {"code": ""})
    browser.post(link, {"code": "000000"})
    assert counted(told) == {(CONFIRM, Why.WRONG_CODE): 1}


def test_another_tab_is_counted_and_the_way_in_still_works(told: World) -> None:
    """A code that was not made for this browser."""
    browser = told.signed_in()
    told.ask(browser, "acme")
    link = told.confirm(browser)
    browser.get(link)
    assert browser.get(f"{ACME}/login/return?code=of-another-tab").status_code == 409
    assert counted(told) == {(LOGIN, Why.OTHER_TAB): 1}
    assert browser.get(link, follow=True).status_code == 200


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (update(AccessRequest).values(state="ending", end_reason="cancelled"), Why.OVER),
        (update(User).where(User.kind == "temporary").values(kind="regular"), Why.NOT_ALLOWED),
    ],
)
def test_what_changed_on_the_way_is_counted(change: object, why: Why, told: World) -> None:
    """The request ended, or the account became another, between the code and its return."""
    browser = told.signed_in()
    told.ask(browser, "acme")
    to_the_console = browser.get(told.confirm(browser)).headers["Location"]
    back = browser.get(to_the_console).headers["Location"]
    with transaction() as session:
        session.execute(change)  # type: ignore[call-overload]
    db.session.rollback()
    assert browser.get(back).status_code == 410
    assert counted(told) == {(LOGIN, why): 1}
