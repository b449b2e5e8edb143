"""S06: every kind of token, offered to every purpose but its own, is refused and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import delete

from instances.models import VirtualInstance
from tempadmin.accounts import invitations, recovery
from tempadmin.accounts.models import Throttle, User
from tempadmin.db import transaction
from tempadmin.web.security import PRE_SESSION_COOKIE, SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import ACME, BEA, code_in, dump, go_inside, key_in, to_return, with_cookie
from tests.world import CONSOLE, PASSWORD, World
from tickets.portal import HAND_OFF_COOKIE
from tickets.states import State

OTHER = "http://borealis.localhost:8000"
UNTOUCHED = ("access_requests", "tickets", "users", "login_sessions", "invitations", "recovery_codes", "second_factors")

REFUSALS: dict[str, set[int | str]] = {
    "confirm key": {404},
    "login key": {404},
    "hand-off code": {409},
    "hand-off cookie": {409},
    "console session": {"/login"},
    "support session": {"/login"},
    "pre-session": {"/login"},
    "invitation key": {404},
    "console invitation key": {404},
    "recovery code": {400},
    "CSRF token": {403},
}
"""How each purpose refuses: a status, or where it leads."""


@dataclass
class Bench:
    """Live tokens of every kind, and whose they are."""

    world: World
    ada: Browser
    page: str
    tokens: dict[str, str]

    def offer(self, purpose: str, token: str) -> int | str:
        """Offer a token to a purpose, in a new browser; return how it was answered."""
        forget_guesses()
        if purpose in ("confirm key", "recovery code", "CSRF token"):
            return self._signed_in(purpose, token)
        name, base, path = {
            "login key": (None, OTHER, f"/login/ticket?key={token}"),
            "hand-off code": ((HAND_OFF_COOKIE, self.tokens["hand-off cookie"]), OTHER, f"/login/return?code={token}"),
            "hand-off cookie": ((HAND_OFF_COOKIE, token), OTHER, f"/login/return?code={self.tokens['hand-off code']}"),
            "console session": ((SESSION_COOKIE, token), CONSOLE, "/access"),
            "support session": ((SESSION_COOKIE, token), ACME, "/users"),
            "pre-session": ((PRE_SESSION_COOKIE, token), CONSOLE, "/login/verify"),
            "invitation key": (None, ACME, f"/welcome?key={token}"),
            "console invitation key": (None, CONSOLE, f"/welcome?key={token}"),
        }[purpose]
        browser = self.world.browser(base) if name is None else with_cookie(self.world, base, *name)
        response = browser.get(base + path)
        return response.headers.get("Location", response.status_code)

    def _signed_in(self, purpose: str, token: str) -> int:
        if purpose == "confirm key":
            return self.ada.get(f"{CONSOLE}/access/confirm?key={token}").status_code
        if purpose == "CSRF token":
            return self.ada.post(f"{self.page}/send-again", token=token).status_code
        link = f"{CONSOLE}/access/confirm?key={self.tokens['confirm key']}"
        self.ada.get(link)
        return self.ada.post(link, {"code": token}).status_code


@pytest.fixture
def bench(world: World, acme: VirtualInstance) -> Bench:
    """Ada awaits confirmation at acme and is at borealis' door; Bea works at acme; two people are invited."""
    world.instance("borealis")
    inside = go_inside(world)
    ada_id = inside.request.requester_id
    tokens = {"support session": inside.cookie}
    world.omniadmin(BEA, "Bea Ek")
    bea = world.signed_in(BEA)
    page = f"{CONSOLE}/access/{world.ask(bea, 'acme').public_id}"
    tokens["confirm key"] = key_in(world.confirmation_link())
    world.ask(inside.ada, "borealis")
    link = world.confirm(inside.ada)
    tokens["login key"] = key_in(link)
    tokens["hand-off code"] = code_in(to_return(inside.ada, link))
    cookie = inside.ada.client.get_cookie(HAND_OFF_COOKIE, domain="borealis.localhost")
    tokens["hand-off cookie"] = cookie.value if cookie else ""
    tokens["console session"] = bea.cookie(SESSION_COOKIE, "localhost") or ""
    pending = world.browser()
    pending.get("/login")
    pending.post("/login", {"email": BEA, "password": PASSWORD}, follow=True)
    tokens["pre-session"] = pending.cookie(PRE_SESSION_COOKIE, "localhost") or ""
    with transaction() as session:
        now = world.clock.now()
        people = {
            "invitation key": User(instance_id=acme.id, email="kim@acme.example", full_name="Kim", created_at=now),
            "console invitation key": session.get_one(User, ada_id),
        }
        session.add(people["invitation key"])
        session.flush()
        for kind, user in people.items():
            tokens[kind] = invitations.invite(user=user, purpose=invitations.JOIN, now=now, runtime=world.runtime)
        requester = session.query(User).filter_by(email=BEA).one()
        tokens["recovery code"] = recovery.replace_codes(user_id=requester.id, runtime=world.runtime)[0]
    bea.get(page)
    tokens["CSRF token"] = bea.token
    assert set(tokens) == set(REFUSALS)
    assert all(tokens.values())
    return Bench(world, bea, page, tokens)


def forget_guesses() -> None:
    """Let the next offer be judged: not the back-off is tested here."""
    with transaction() as session:
        session.execute(delete(Throttle))


def what_counts(world: World) -> dict[str, object]:
    """The tables in which an accepted token would leave a trace."""
    tables = dump(world)
    return {name: tables[name] for name in UNTOUCHED}


def test_s06_no_token_serves_another_purpose(bench: Bench) -> None:
    """The full matrix of 11 kinds on 11 purposes: the diagonal apart, each is refused and nothing changes."""
    before = what_counts(bench.world)
    wrong = {
        (kind, purpose): answer
        for purpose, refused in REFUSALS.items()
        for kind, token in bench.tokens.items()
        if kind != purpose and (answer := bench.offer(purpose, token)) not in refused
    }
    assert wrong == {}
    after = what_counts(bench.world)
    assert after == before


@pytest.mark.parametrize("kind", list(REFUSALS))
def test_s06_each_token_serves_its_own_purpose(bench: Bench, kind: str) -> None:
    """The matrix offers what lives: on the diagonal every token works."""
    bench.world.clock.advance(seconds=1)
    answer = bench.offer(kind, bench.tokens[kind])
    accepted = {"hand-off code": "/", "hand-off cookie": "/", "CSRF token": 303}
    if kind == "login key":
        assert str(answer).startswith(f"{CONSOLE}/access/enter?")
    else:
        assert answer == accepted.get(kind, 200)
    assert (bench.world.request(3).state == State.ACTIVE) == (accepted.get(kind) == "/")


def test_s06_a_requests_own_two_keys_are_not_interchangeable(world: World, acme: VirtualInstance) -> None:
    """Right person, right host, right time: the confirm key opens no door, and the login key confirms nothing."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    confirm_key = key_in(world.confirmation_link())
    assert ada.get(f"{ACME}/login/ticket?key={confirm_key}").status_code == 404
    link = world.confirm(ada)
    assert ada.get(f"{CONSOLE}/access/confirm?key={key_in(link)}").status_code == 404
    assert ada.get(f"{ACME}/login/ticket?key={confirm_key}").status_code == 404  # used, and still no such link here
    assert ada.get(f"{ACME}/welcome?key={key_in(link)}").status_code == 404
    assert ada.get(link, follow=True).status_code == 200
    assert world.request(request.id).state == State.ACTIVE


def test_s06_a_token_of_other_keys_is_refused(bench: Bench) -> None:
    """What another installation signed or sealed, with the same code and other keys, opens nothing here."""
    from tempadmin.keys import Keys, new_secret

    other = Keys(["o" * 32])
    forged = {
        "confirm key": other.serializer("ticket.confirm").dumps(new_secret()),
        "login key": other.serializer("ticket.login").dumps(new_secret()),
        "invitation key": other.serializer("invitation").dumps(new_secret()),
        "pre-session": other.seal("pre-session", b'{"pending": {}}', owner="browser"),
        "hand-off cookie": other.seal("hand-off", b"{}", owner="instance:3"),
        "console session": new_secret(),
        "support session": "support." + new_secret(),
    }
    assert {kind for kind, token in forged.items() if bench.offer(kind, str(token)) not in REFUSALS[kind]} == set()


def test_s06_a_hand_off_cookie_of_another_host_is_refused(bench: Bench) -> None:
    """The cookie is sealed for its instance: planted on another host it counts as none."""
    browser = with_cookie(bench.world, ACME, HAND_OFF_COOKIE, bench.tokens["hand-off cookie"])
    assert browser.get(f"{ACME}/login/return?code={bench.tokens['hand-off code']}").status_code == 409
    assert bench.world.request(3).state == State.READY


def test_s06_a_session_of_another_host_is_refused(bench: Bench) -> None:
    """A cookie that is copied to another host is nobody's there."""
    copies: list[tuple[str, str, Callable[[Browser], object]]] = [
        (ACME, "console session", lambda one: one.get(f"{ACME}/users").headers.get("Location")),
        (CONSOLE, "support session", lambda one: one.get(f"{CONSOLE}/access").headers.get("Location")),
        (OTHER, "support session", lambda one: one.get(f"{OTHER}/users").headers.get("Location")),
    ]
    for base, kind, ask in copies:
        assert ask(with_cookie(bench.world, base, SESSION_COOKIE, bench.tokens[kind])) == "/login"
