"""S25: inside a user's pages: all that the user sees and nothing that is the user's own to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask

from instances import directory
from instances.vouching import vouch
from tempadmin.accounts import own_factor, own_sessions
from tempadmin.accounts.change_password import change_password
from tempadmin.accounts.models import LoginSession, User
from tempadmin.db import db
from tempadmin.web.guard import rule_of
from tests.browser import Browser
from tests.tickets.asked import (
    ACME,
    LIAM,
    ROSA,
    People,
    acting,
    answers,
    ask,
    ask_user,
    gather,
    go_in_as,
    go_on,
    outcomes,
    stands,
    yes,
)
from tests.tickets.evidence import dump, thief
from tests.world import CONSOLE, PASSWORD, World
from tickets.change_policy import change_policy
from tickets.provision import provision
from tickets.states import State

PAGES = ("/", "/users", "/users?q=li", "/users/invite", "/settings", "/support-access", "/users/999999", "/account/x")
METHODS = {"GET", "POST"}


@pytest.fixture
def people(world: World) -> People:
    return gather(world)


def seen(browser: Browser, path: str) -> tuple[int, str]:
    """A page without what differs by right: banners, the form tokens, and the links to one's own account."""
    status = browser.get(f"{ACME}{path}").status_code
    body = re.sub(r"(?s)<aside.*?</aside>", "", browser.page)
    body = re.sub(r'(?s)<nav class="bar-person".*?</nav>', "", body)
    body = re.sub(r'name="csrf_token"[^>]*>', "", body)
    return status, re.sub(r"\s+", " ", body)


@pytest.mark.parametrize("subject", [LIAM, ROSA])
def test_support_sees_exactly_what_the_user_sees(world: World, people: People, subject: str) -> None:
    """Page by page, status by status, refusals too: the same body but for the banner and the account's own links."""
    own = world.signed_in(subject, ACME)
    _, cookie = go_in_as(world, people, subject)
    support = thief(world, cookie)
    pages = [path for path in PAGES if path != "/support-access"]
    assert [seen(support, path) for path in pages] == [seen(own, path) for path in pages]
    support.get(f"{ACME}/")
    assert "You are Ada Brandt. You see Acme Logistics as" in support.text
    assert f"({subject})" in support.text
    assert "Stop impersonating" in support.text
    assert "/account" not in support.page
    own.get(f"{ACME}/")
    assert "Ada Brandt (ada@operator.example) sees what you see." in own.text


def routes(app: Flask, *, support: bool) -> list[tuple[str, str]]:
    """Every rule of a customer's host that asks who somebody is, by whether support sessions may come there."""
    found = []
    for rule in app.url_map.iter_rules():
        allowed = rule_of(app, rule.endpoint)
        if allowed is None or not allowed.roles or allowed.place == "console" or allowed.support is not support:
            continue
        address = re.sub(r"<int:[^>]+>", "1", str(rule))
        address = re.sub(r"<[^>]+>", "csv", address)
        found += [(method, address) for method in sorted((rule.methods or set()) & METHODS)]
    return found


@pytest.mark.parametrize("subject", [LIAM, ROSA])
def test_s25_no_page_of_the_users_own_is_reached(world: World, people: People, subject: str) -> None:
    """Account, password, factor, codes, sessions, sign-out, answers, policy, vouching, ends: 403 and no change."""
    _, cookie = go_in_as(world, people, subject)
    support = thief(world, cookie)
    support.get(f"{ACME}/")
    closed = routes(world.app, support=False)
    for path in ("/account", "/account/password", "/account/second-factor", "/account/recovery-codes", "/logout"):
        assert ("GET", path) in closed
    for path in (
        "/account/sessions/end-others",
        "/account/sessions/1/end",
        "/support-access/csv/approve",
        "/support-access/csv/reject",
        "/support-access/csv/end",
        "/support-access/policy",
        "/support-access/accounts/1/vouch",
    ):
        assert ("POST", path) in closed
    before = {name: rows for name, rows in dump(world).items() if name not in ("activity", "access_requests")}
    for method, path in closed:
        answer = support.get(f"{ACME}{path}") if method == "GET" else support.post(f"{ACME}{path}", token=support.token)
        assert answer.status_code == 403, (method, path)
    after = {name: rows for name, rows in dump(world).items() if name in before}
    told = {"audit_events", "audit_heads"}
    assert {name for name in before if before[name] != after[name]} <= told


def test_s25_each_use_case_refuses_a_support_session_by_itself(world: World, people: People) -> None:
    """Without any page before it: nothing of the account, no answer, no policy, no vouching, no role."""
    pending = ask_user(world, people.bea, ROSA)
    request_id, _ = go_in_as(world, people, ROSA)
    db.session.rollback()
    session = db.session.query(LoginSession).filter(LoginSession.access_request_id == request_id).one().id
    mine: dict[str, Any] = {"user_id": people.rosa, "runtime": world.runtime}
    inside = acting(people.rosa, request_id=request_id)
    seed = own_factor.new_seed(user_id=people.rosa, runtime=world.runtime)
    edit = partial(directory.edit, acting=inside, user_id=people.max, full_name="Max", runtime=world.runtime)
    tries: list[Callable[[], object]] = [
        partial(
            change_password,
            **mine,
            session_id=session,
            present=PASSWORD,
            new="another good long sentence",
            answer=None,
        ),
        partial(own_factor.add_factor, **mine, session_id=session, password=PASSWORD, sealed=seed, code="123456"),
        partial(own_factor.change_factor, **mine, session_id=session, answer="1", sealed=seed, code="123456"),
        partial(own_factor.remove_factor, **mine, session_id=session, answer="123456"),
        partial(own_factor.new_recovery_codes, **mine, session_id=session, answer="123456"),
        partial(own_sessions.end_other_sessions, **mine, acting_id=session),
        partial(own_sessions.end_session, **mine, session_id=4711, acting_id=session),
        partial(edit, role="member"),
        partial(change_policy, acting=inside, require_customer=True, longest=None, runtime=world.runtime),
        partial(vouch, acting=inside, user_id=people.max, runtime=world.runtime),
    ]
    assert outcomes(tries) == ["Forbidden"] * len(tries)
    assert answers(pending) == {("subject", False): None}
    assert stands(world, request_id)[0] == State.ACTIVE


def test_s24_no_session_nests_in_another(world: World, people: People) -> None:
    """Entering from a browser that has a support session ends that one first: one host, one cookie, one person."""
    first, cookie = go_in_as(world, people)
    second = ask(world, people.ada)
    provision(request_id=second, runtime=world.runtime)
    go_on(world, second, people.ada, present=cookie)
    assert stands(world, first) == (State.ENDED, "replaced")
    assert stands(world, second)[0] == State.ACTIVE
    assert thief(world, cookie).get(f"{ACME}/").status_code == 302


def test_s24_p8_a_support_session_reaches_no_page_that_asks(world: World, people: People) -> None:
    """On the customer's host the console's pages are not there; on the console the cookie is nobody's."""
    _, cookie = go_in_as(world, people, ROSA)
    here, there = thief(world, cookie), thief(world, cookie, CONSOLE)
    for kind in ("request-access", "request-impersonation"):
        assert here.get(f"{ACME}/instances/acme/{kind}").status_code == 404
        assert here.post(f"{ACME}/instances/acme/{kind}").status_code == 404
        assert there.get(f"{CONSOLE}/instances/acme/{kind}").status_code == 302
        assert there.post(f"{CONSOLE}/instances/acme/{kind}").status_code == 403


def test_s25_who_is_invited_through_a_users_pages_is_marked(world: World, people: People) -> None:
    """An administrator's pages invite; what support invites there is support's, not the administrator's."""
    request_id, cookie = go_in_as(world, people, ROSA)
    support = thief(world, cookie)
    support.get(f"{ACME}/users/invite")
    form = {"email": "new@acme.example", "full_name": "New Person", "role": "administrator"}
    assert support.post(f"{ACME}/users/invite", form).status_code == 303
    user = db.session.query(User).filter(User.email == "new@acme.example").one()
    assert (user.made_in_request_id, user.unvouched) == (request_id, True)
    support.get(f"{ACME}/users/{people.max}")
    assert 'name="role"' not in support.page
    edited = {"full_name": "Max", "role": "member", "email": "x@y.example", "password": "another good sentence"}
    support.post(f"{ACME}/users/{people.max}", edited)
    db.session.rollback()
    other = db.session.get_one(User, people.max)
    assert (other.role, other.email, other.changed_in_request_id) == ("administrator", "max@acme.example", request_id)


def test_s33_two_answers_are_asked_for_two_sessions(world: World, people: People) -> None:
    """A consent is for one access: the next needs its own, from its own pages."""
    first, cookie = go_in_as(world, people)
    support = thief(world, cookie)
    support.get(f"{ACME}/")
    support.post(f"{ACME}/support-session/leave")
    assert stands(world, first) == (State.ENDED, "logout")
    again = ask_user(world, people.ada)
    assert answers(again) == {("subject", False): None}
    yes(world, again, people.liam)
