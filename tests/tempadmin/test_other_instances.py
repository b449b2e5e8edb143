"""One instance's ids and pages do not exist on another (S31, S32)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from tempadmin.accounts.models import OMNIADMIN as OMNIADMIN_ROLE
from tempadmin.accounts.models import User
from tempadmin.db import db, transaction
from tests.tempadmin.conftest import Play
from tests.tempadmin.stage import ACME, ADMIN, OMNIADMIN, PEOPLE, SESSION_COOKIE, TEMPORARY, Stage, everything
from tests.tempadmin.test_routes import TABLE
from tests.world import CONSOLE, World

BIRCH = "http://birch.localhost:8000"
PROBES = {"GET /healthz", "GET /readyz"}

# Every rule with a parameter, and an address of it that names a row of another instance; the ids of requests are the
# console's own, where every omniadmin may see them all, so there the wrong places are the customers' hosts (S32).
FOREIGN = {
    "/support-access/<public_id>": "/support-access/{waiting}",
    "/support-access/<public_id>/activity.<form>": "/support-access/{waiting}/activity.csv",
    "/support-access/<public_id>/approve": "/support-access/{waiting}/approve",
    "/support-access/<public_id>/end": "/support-access/{waiting}/end",
    "/support-access/<public_id>/extension/<int:extension_id>/approve": "/support-access/{waiting}/extension/1/approve",
    "/support-access/<public_id>/extension/<int:extension_id>/reject": "/support-access/{waiting}/extension/1/reject",
    "/support-access/<public_id>/reject": "/support-access/{waiting}/reject",
    "/support-access/accounts/<int:user_id>/vouch": "/support-access/accounts/{stranger}/vouch",
    "/users/<int:user_id>": "/users/{stranger}",
    "/users/<int:user_id>/invite-again": "/users/{stranger}/invite-again",
    "/users/<int:user_id>/activate": "/users/{stranger}/activate",
    "/users/<int:user_id>/deactivate": "/users/{stranger}/deactivate",
}
OF_THE_CONSOLE = {
    "/access/<public_id>",
    "/access/<public_id>/approve",
    "/access/<public_id>/cancel",
    "/access/<public_id>/confirmation",
    "/access/<public_id>/end",
    "/access/<public_id>/extend",
    "/access/<public_id>/extension/<int:extension_id>/approve",
    "/access/<public_id>/extension/<int:extension_id>/reject",
    "/access/<public_id>/new-link",
    "/access/<public_id>/reject",
    "/access/<public_id>/send-again",
    "/access/<public_id>/retry-removal",
    "/access/<public_id>/removed-by-hand",
    "/access/<public_id>/start",
    "/instances/<web_id>/connection",
    "/instances/<web_id>/connection/check",
    "/instances/<web_id>/openid",
    "/instances/<web_id>/openid/remove",
    "/instances/<web_id>/openid/secret",
    "/instances/<web_id>/request-access",
    "/instances/<web_id>/request-impersonation",
    "/jobs/<name>/run",
}
# One's own sessions: tests/accounts/test_own_sessions.py proves that nobody else's can be named.
OF_ONESELF = {"/account/sessions/<int:session_id>/end"}
OF_NOBODY = {"/static/<path:filename>", "/bootstrap/static/<path:filename>", "/support-access/export.<form>"}
CONSOLE_ROUTES = [name for name, row in TABLE.items() if set(row["customer"]) == {404} and "welcome" not in name]


def test_s31_every_rule_with_a_parameter_was_thought_of(world: World) -> None:
    """A new rule with a parameter fails here until somebody says what another instance's id does in it."""
    rules = {rule.rule for rule in world.app.url_map.iter_rules() if rule.arguments}
    assert rules == set(FOREIGN) | OF_THE_CONSOLE | OF_ONESELF | OF_NOBODY


@pytest.mark.parametrize("person", [ADMIN, TEMPORARY])
@pytest.mark.parametrize("name", [name for name in TABLE if name.split(" ")[1] in FOREIGN])
def test_s31_another_instances_rows_do_not_exist_here(name: str, person: str, stage: Stage, play: Play) -> None:
    """The page of another instance's person or access, and every change of them, finds nothing and changes nothing."""
    method, rule = name.split(" ")
    world = play()
    before = everything(world)
    browser = stage.browser(world, "customer", person)
    url = FOREIGN[rule].format(**stage.words)
    if method == "POST":
        browser.get("/login")
        response = browser.post(url, TABLE[name].get("form", {}))
    else:
        response = browser.get(url)
    # Where no support session may come at all, it is told so before anything is looked up (S25).
    barred = person == TEMPORARY and TABLE[name]["customer"][PEOPLE.index(TEMPORARY)] == 403
    assert response.status_code == (403 if barred else 404)
    assert everything(world) == before


@pytest.mark.parametrize("action", ["deactivate", "activate", ""])
def test_s31_a_temporary_administrator_is_no_person_of_the_instance(action: str, stage: Stage, play: Play) -> None:
    """The temporary account's own id, too, answers 404 to the customer's administrator."""
    world = play()
    temporary = (
        db.session.query(User.id)
        .filter(User.kind == "temporary", User.active.is_(True))
        .order_by(User.id)
        .limit(1)
        .scalar()
    )
    before = everything(world)
    browser = stage.browser(world, "customer", ADMIN)
    browser.get("/login")
    url = f"/users/{temporary}/{action}".rstrip("/")
    assert browser.post(url, {"full_name": "Somebody", "role": "member"}).status_code == 404
    assert browser.get(f"/users/{temporary}").status_code == 404
    assert everything(world) == before


@pytest.mark.parametrize("field", ["instance", "instance_id", "web_id", "host", "user_id", "id"])
def test_s31_no_form_field_names_the_instance(field: str, stage: Stage, play: Play) -> None:
    """An invented field with another instance's id is not read: the person is invited here, or nowhere."""
    world = play()
    browser = stage.browser(world, "customer", TEMPORARY)
    browser.get("/login")
    person = {"full_name": "Kai Berg", "email": "kai@acme.example", "role": "member"}
    browser.post("/users/invite", {**person, field: "3"})
    db.session.rollback()
    places = [row.instance_id for row in db.session.query(User).filter(User.email == "kai@acme.example")]
    assert set(places) <= {2}


@pytest.mark.parametrize("action", ["cancel", "send-again", "confirmation", "new-link"])
def test_s31_another_omniadmins_request_can_be_seen_and_not_driven(action: str, stage: Stage, play: Play) -> None:
    """Ben sees Ada's request; only she can confirm, follow or cancel it."""
    world = play()
    ben = world.signed_in("ben@operator.example")
    before = everything(world)
    for state in ("waiting", "ready"):
        ben.get("/logout")
        assert ben.post(f"/access/{stage.words[state]}/{action}").status_code in (404, 409)
    assert everything(world) == before


def test_s31_another_omniadmins_confirmation_link_is_none(stage: Stage, play: Play) -> None:
    """Ada's confirmation link answers Ben 404 on every page that takes it."""
    world = play()
    ben = world.signed_in("ben@operator.example")
    before = everything(world)
    key = stage.words["confirm_key"]
    assert ben.get(f"{CONSOLE}/access/confirm?key={key}").status_code == 404
    for url, form in ((f"/access/confirm?key={key}", {"code": world.next_code()}), (f"/access/not-me?key={key}", {})):
        ben.get("/logout")
        assert ben.post(url, form).status_code == 404
    assert everything(world) == before


def test_s31_a_one_time_link_opens_on_its_own_host_only(stage: Stage, play: Play) -> None:
    """Ben's link to Acme is unknown at Birch, and does not exist on the console."""
    world = play()
    path = f"/login/ticket?key={stage.words['login_key']}"
    assert world.browser(BIRCH).get(path).status_code == 404
    assert world.browser(CONSOLE).get(path).status_code == 404
    assert world.browser(ACME).get(path).status_code == 303


@pytest.mark.only_sqlite  # where a page is does not depend on the database, and there are many
@pytest.mark.parametrize("name", CONSOLE_ROUTES)
def test_s32_the_omniadmins_pages_exist_on_no_other_host(name: str, stage: Stage, play: Play) -> None:
    """Even an account with the role omniadmin on a customer's instance finds none of them there."""
    method, rule = name.split(" ")
    url = TABLE[name].get("open", rule).format(**stage.words)
    world = play()
    with transaction():
        db.session.execute(update(User).where(User.email == "admin@acme.example").values(role=OMNIADMIN_ROLE))
    before = everything(world)
    for base, secret in (
        (ACME, stage.cookies["customer", ADMIN]),
        (ACME, stage.cookies["console", OMNIADMIN]),
        (BIRCH, stage.cookies["console", OMNIADMIN]),
    ):
        browser = world.browser(base)
        browser.client.set_cookie(SESSION_COOKIE, secret, domain=urlsplit(base).hostname or "")
        browser.get("/login")
        answer = browser.post(url) if method == "POST" else browser.get(url)
        assert answer.status_code == 404, base
    assert everything(world) == before


@pytest.mark.only_sqlite
@pytest.mark.parametrize("host", ["evil.example", "acme.localhost.evil.example", "10.0.0.1", "x.acme.localhost"])
def test_s32_an_unknown_host_answers_404_and_nothing_else(host: str, stage: Stage, play: Play) -> None:
    """Whatever is asked there, no page, no file and no cookie comes back, and nothing is written."""
    world, wrong = play(), []
    before = everything(world)
    for name in set(TABLE) - PROBES:
        method, rule = name.split(" ")
        url = f"http://{host}:8000" + TABLE[name].get("open", rule).format(**stage.words)
        browser = world.browser(CONSOLE)
        response = browser.post(url, token="x") if method == "POST" else browser.get(url)
        told = stage.words["waiting"] in response.get_data(as_text=True)
        if response.status_code != 404 or told or "session" in response.headers.get("Set-Cookie", ""):
            wrong.append(name)
    assert wrong == []
    assert everything(world) == before


@pytest.mark.only_sqlite
def test_s32_no_cookie_opens_anything_on_an_unknown_host(stage: Stage, play: Play) -> None:
    """Every route, with every session that there is."""
    world, wrong = play(), []
    for secret in stage.cookies.values():
        browser = world.browser("http://acme.evil.example:8000")
        browser.client.set_cookie(SESSION_COOKIE, secret, domain="acme.evil.example")
        for name in set(TABLE) - PROBES:
            method, rule = name.split(" ")
            url = TABLE[name].get("open", rule).format(**stage.words)
            answer = browser.post(url, token="x") if method == "POST" else browser.get(url)
            wrong += [name] if answer.status_code != 404 else []
    assert wrong == []


def test_s32_an_unknown_host_is_alive(world: World) -> None:
    """A load balancer asks /healthz under any name, and learns that much."""
    response = world.browser("http://10.0.0.1:8000").get("/healthz")
    assert (response.status_code, response.get_data()) == (200, b"ok\nscheduler: missing\n")
