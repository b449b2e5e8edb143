"""What a support session asks for is shown to the customer, whatever came of it: every route, each kind (S25, S53)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tempadmin.db import db
from tests.tempadmin.conftest import Play
from tests.tempadmin.stage import AS_ADMIN, AS_MEMBER, TEMPORARY, Stage
from tests.tempadmin.test_routes import TABLE
from tickets.models import Activity

pytestmark = pytest.mark.only_sqlite  # which visits are written does not depend on the database

# These read no session at all, whosever it is: files, signs of life, the way in, the page after the way out.
ANYBODYS = ("/healthz", "/readyz", "/static", "/bootstrap", "/login", "/welcome", "/left")
# Nor do these, where programs come; a browser that posts is led on to the address that it may open, which is recorded.
PROGRAMS = ("/.well-known", "/oidc/jwks", "/oidc/token", "/oidc/userinfo")
LED_ON = ("POST /oidc/authorize", "POST /oidc/logout")
LAST = "POST /support-session/leave"
NAMES = [name for name in TABLE if name not in (*LED_ON, LAST)]
NAMES = [*(name for name in NAMES if not name.split(" ")[1].startswith((*ANYBODYS, *PROGRAMS))), LAST]
REAL = {TEMPORARY: "Ada Brandt", AS_MEMBER: "Ada Brandt", AS_ADMIN: "Ben Ito"}


@pytest.mark.parametrize("person", REAL)
def test_s25_s53_every_attempt_is_one_row_with_the_real_person(person: str, stage: Stage, play: Play) -> None:
    """Pages, changes, refusals and addresses that do not exist here: one row each, with its status and no query."""
    world, wrong = play(), {}
    browser = stage.browser(world, "customer", person)
    for name in NAMES:
        method, rule = name.split(" ")
        url = TABLE[name].get("open", rule).format(**stage.words)
        newest = db.session.scalar(select(Activity.id).order_by(Activity.id.desc()).limit(1)) or 0
        if method == "POST":
            browser.get("/login")
            status = browser.post(url, TABLE[name].get("form", {})).status_code
        else:
            status = browser.get(url).status_code
        db.session.rollback()
        rows = db.session.scalars(select(Activity).where(Activity.id > newest)).all()
        told = [(row.actor_name, row.method, row.path, row.status) for row in rows]
        if told != [(REAL[person], method, url.partition("?")[0], status)]:
            wrong[name, status] = told
    assert wrong == {}
