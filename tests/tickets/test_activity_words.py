"""What a customer reads of each request: plain words for every address that a support session can try."""

from __future__ import annotations

import pytest
from flask import Flask

from tempadmin.web.guard import SAFE_METHODS, rule_of
from tickets.activity_words import CHANGES, LOOKS, words_for

TOLD = [
    ("panel.list_users", "GET", 200, "Looked at users"),
    ("panel.list_users", "HEAD", 503, "Tried to look at users: it failed"),
    ("panel.deactivate", "POST", 303, "Deactivated a user"),
    ("panel.deactivate", "POST", 409, "Tried to deactivate a user: too late"),
    ("panel.edit_user", "GET", 404, "Tried to look at a user: not found"),
    ("panel.invite", "POST", 400, "Tried to invite somebody: not accepted"),
    ("panel.invite", "POST", 429, "Tried to invite somebody: refused"),
    ("account.password", "POST", 403, "Tried to change the user's password: refused"),
    ("account.recovery_codes", "GET", 403, "Tried to open the page for the user's recovery codes: refused"),
    ("account.end_session", "POST", 403, "Tried to end one of the user's sessions: refused"),
    ("instances.list_instances", "GET", 404, "Tried to open a page: not found"),
    (None, "GET", 404, "Tried to open an address that does not exist"),
]


@pytest.mark.parametrize(("endpoint", "method", "status", "words"), TOLD)
def test_s53_a_row_says_what_was_done_or_tried(
    app: Flask, endpoint: str | None, method: str, status: int, words: str
) -> None:
    """What was done, or what was tried and how it was turned down."""
    with app.test_request_context():
        assert words_for(endpoint, method, status) == words


def test_s53_no_address_of_a_customers_host_is_without_words(app: Flask) -> None:
    """Whatever a support session may open or try there, the customer reads more than that it was a page."""
    general = set()
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            found = rule_of(app, rule.endpoint)
            if found is None or found.place == "console" or not found.roles:
                continue
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                known = LOOKS if method in SAFE_METHODS else CHANGES
                if rule.endpoint not in known:
                    general.add(f"{method} {rule.endpoint}")
    assert general == set()
