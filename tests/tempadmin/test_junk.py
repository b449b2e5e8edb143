"""Junk in every form: an answer that is meant, never a 500, and what is refused changes nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from tempadmin.accounts.models import Throttle
from tempadmin.db import db, transaction
from tests.tempadmin.junk import BAD_REQUEST, LAST, TABLE, Writes, bodies, places_of, send, wrong
from tests.tempadmin.stage import ANONYMOUS, OMNIADMIN, TEMPORARY, Stage
from tests.world import World

pytestmark = pytest.mark.timeout(300)

TOO_MANY = 429
GUESSES = {"throttles", "audit_events", "audit_heads", "virtual_instances"}
"""What a wrong password or code leaves behind on purpose (S12)."""


def forms(world: World) -> list[str]:
    """Every route that takes a POST, from the application itself."""
    found = [rule.rule for rule in world.app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    return sorted(found, key=lambda rule: (LAST.search(rule) is not None, rule))


def test_junk_in_every_form_gets_a_clear_answer(unlimited: World, stage: Stage) -> None:
    """As nobody, member, administrator, omniadmin and in a support session; what is refused changes nothing."""
    bad: list[tuple[object, ...]] = []
    writes, sent = Writes(db.engine), 0
    for rule in forms(unlimited):
        row = TABLE[f"POST {rule}"]
        target = row.get("open", rule).format(**stage.words).encode()
        guesses = GUESSES if set(row.get("form", {})) & {"code", "password", "present"} else set()
        known: set[str] = set()
        for place, person, deep in places_of(row):
            browser = stage.browser(unlimited, place, person)
            browser.get("/login")
            kind = person if person in (OMNIADMIN, TEMPORARY) else ANONYMOUS
            for at, body in enumerate(bodies(row.get("form", {}), browser.token)):
                if at % (1 if deep and kind not in known else 7):
                    continue  # refused before anybody reads it, or the same form again: a sample is enough
                response = send(browser, "POST", target, body)
                sent += 1
                changed = writes.taken() - guesses
                changed = changed if response.status_code >= BAD_REQUEST else set()
                if wrong(response) or changed:
                    bad.append((rule, place, person, body.what, response.status_code, changed))
                if response.status_code in (BAD_REQUEST, TOO_MANY):
                    with transaction() as session:
                        session.execute(delete(Throttle))
                    writes.taken()
            known |= {kind} if deep else set()
    assert bad == []
    assert sent > 800
