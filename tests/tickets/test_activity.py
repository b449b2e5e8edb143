"""S53: each HTTP request of a support session is one row with the real person, whatever came of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from limits import parse
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import MethodNotAllowed

from tempadmin import errors
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER
from tempadmin.web import limits
from tempadmin.web.guard import allow
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import ACME, ACME_HOST, thief
from tests.tickets.watched import BOSS, MIA, Row, all_rows, both_kinds, enter, people, person
from tests.world import CONSOLE, World
from tickets.models import TEMPORARY_ADMIN

CEILING = parse(limits.CHANGES_PER_ADDRESS)
FAILURES: dict[str, Callable[[], BaseException]] = {
    "lookup": lambda: LookupError("the view broke"),
    "away": lambda: OperationalError("SELECT 1", {}, Exception("the server closed the connection")),
    "unavailable": lambda: errors.Unavailable("The directory does not answer."),
    "unreadable": lambda: errors.Unreadable("What it says cannot be read."),
    "limited": lambda: errors.RateLimited("Too many.", retry_after=5),
    "gone": lambda: errors.Gone("It has done its work."),
    "method": lambda: MethodNotAllowed(["GET"]),
}


@pytest.fixture
def failing(world: World) -> World:
    """A world with addresses that fail, each in its way."""

    @allow(MEMBER, ADMINISTRATOR, place="customer", support=True)
    def fail(how: str) -> str:
        failure = FAILURES[how]()
        raise failure

    world.app.add_url_rule("/fail/<how>", "fail", fail, methods=["GET", "POST"])
    people(world)
    return world


def gets(browser: Browser, *paths: str, method: str = "GET") -> list[Row]:
    """Open addresses; return what was sent and answered."""
    return [(method, path.partition("?")[0], browser.get(ACME + path, method=method).status_code) for path in paths]


@both_kinds
def test_s53_each_request_is_one_row_whatever_its_answer(failing: World, kind: str) -> None:
    """Served, redirected, refused, unknown, too late, failed: one row each, in order, and counted."""
    inside = enter(failing, kind)
    ada, mia = inside.ada, person(MIA).id
    elsewhere = failing.user(failing.instance("other"), "eve@other.example").id
    sent = gets(ada, "/users", "/settings", "/support-access", "/support-access/live", "/logout", "/account")
    sent += gets(ada, "/nowhere", "/instances", "/access", f"/users/{elsewhere}", f"/users/{10**17}", "/users//x")
    sent += gets(ada, *(f"/fail/{how}" for how in FAILURES))
    sent += gets(ada, "/users", "/nowhere", "/account", method="HEAD")
    sent += gets(ada, "/users", "/account", "/support-access/policy", method="OPTIONS")
    sent += gets(ada, "/users", "/settings", method="PUT")
    ada.get(ACME + "/users")
    sent.append(("GET", "/users", 200))
    posts: list[tuple[str, dict[str, str], dict[str, str]]] = [
        ("/users/invite", {"full_name": "", "email": "", "role": "member"}, {}),
        ("/users/invite", {"full_name": "Kai Berg", "email": "kai@acme.example", "role": "member"}, {}),
        (f"/users/{mia}/activate", {}, {}),
        (f"/users/{elsewhere}/deactivate", {}, {}),
        ("/account/password", {}, {}),
        ("/support-access/policy", {}, {}),
        (f"/support-access/{inside.public_id}/end", {}, {}),
        ("/settings", {}, {"token": "not a token"}),
        ("/settings", {}, {"origin": "http://evil.example"}),
        ("/nowhere", {}, {}),
        ("/fail/lookup", {}, {}),
        ("/fail/away", {}, {}),
    ]
    for path, form, how in posts:
        ada.get(ACME + "/users/invite")
        answer = ada.post(ACME + path, form, **how)  # type: ignore[arg-type]
        sent += [("GET", "/users/invite", 200), ("POST", path, answer.status_code)]
    assert inside.told()[1:] == sent
    assert inside.counted() == len(sent) + 1
    assert {status for _, _, status in sent} >= {200, 303, 400, 403, 404, 405, 409, 410, 429, 500, 503}
    subject = inside.last().subject_id
    real = (person("ada@operator.example").id, "Ada Brandt", subject)
    assert {(row.actor_id, row.actor_name, row.subject_id) for row in inside.rows()} == {real}
    assert all_rows() == len(sent) + 1


def test_s53_what_the_ceiling_on_changes_refuses_is_written(world: World) -> None:
    """The flood is stopped before anybody looks who sends it; who sent it is written nevertheless."""
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    stranger = world.browser("http://nowhere.localhost:8000")
    stranger.post("/login")
    limits.limiter(world.app).limiter.hit(CEILING, "127.0.0.1", "global", cost=CEILING.amount)
    inside.ada.get(ACME + "/users/invite")
    before = all_rows()
    forged = thief(world, "support.not-a-session")
    assert (stranger.post("/login").status_code, forged.post(ACME + "/settings").status_code) == (429, 429)
    assert all_rows() == before
    assert inside.ada.post(ACME + "/users/invite", {"email": "kai@acme.example"}).status_code == 429
    assert inside.told()[-1] == ("POST", "/users/invite", 429)
    assert inside.last().did == "Tried to invite somebody: refused"


def test_s53_what_belongs_to_no_support_session_is_not_activity(world: World) -> None:
    """Files, the health check, public pages; other sessions on that host; strangers, dead and foreign cookies."""
    people(world)
    boss = world.signed_in(BOSS, ACME)
    inside = enter(world, TEMPORARY_ADMIN)
    cookie = inside.ada.cookie(SESSION_COOKIE, ACME_HOST) or ""
    before = all_rows()
    for path in ("/static/tempadmin.css", "/static/nothing.css", "/healthz", "/left", "/login/ticket?key=x", "/login"):
        inside.ada.get(ACME + path)
    for path in ("/", "/users", "/support-access", "/support-access/live", "/nowhere"):
        boss.get(ACME + path)
        world.browser(ACME).get(ACME + path)
        thief(world, cookie, "http://nowhere.localhost:8000").get(path)
        thief(world, cookie, CONSOLE).get(path)
        inside.ada.get(CONSOLE + path)
    assert all_rows() == before
    inside.ada.get(ACME + "/users/invite")
    assert inside.ada.post(ACME + "/support-session/leave").status_code == 303
    assert inside.told()[-1] == ("POST", "/support-session/leave", 303)
    assert inside.last().did == "Left"
    before = all_rows()
    dead = thief(world, cookie)
    assert [dead.get(ACME + path).status_code for path in ("/users", "/nowhere")] == [302, 404]
    assert dead.post(ACME + "/settings").status_code == 403
    assert all_rows() == before == inside.counted()
