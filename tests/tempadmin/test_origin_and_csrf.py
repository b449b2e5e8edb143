"""Changes come from this host's own pages, in this very session (S34)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tempadmin.web import guard
from tests.tempadmin.conftest import Play
from tests.tempadmin.stage import ACME, ADMIN, ANONYMOUS, OMNIADMIN, TEMPORARY, Stage, everything
from tests.tempadmin.test_routes import TABLE
from tests.world import CONSOLE, PASSWORD, World

pytestmark = pytest.mark.only_sqlite  # the scene is a copied SQLite file

POSTS = [name for name in TABLE if name.startswith("POST ") and "machine" not in TABLE[name]]
FOREIGN_SOURCES = {
    "no origin": {},
    "a null origin": {"Origin": "null"},
    "an empty origin": {"Origin": ""},
    "a foreign origin": {"Origin": "https://evil.example"},
    "a sibling's origin": {"Origin": "http://birch.localhost:8000"},
    "another port": {"Origin": "{base}1"},
    "another scheme": {"Origin": "https://{host}:8000"},
    "a longer name": {"Origin": "{base}.evil.example"},
    "no port": {"Origin": "http://{host}"},
    "two origins": {"Origin": "{base}, https://evil.example"},
    "a cross-site fetch": {"Sec-Fetch-Site": "cross-site"},
    "a sibling's fetch": {"Sec-Fetch-Site": "same-site"},
    "a fetch by hand without an origin": {"Sec-Fetch-Site": "none"},
    "the right origin, fetched across sites": {"Origin": "{base}", "Sec-Fetch-Site": "cross-site"},
    "the right origin, fetched by a sibling": {"Origin": "{base}", "Sec-Fetch-Site": "same-site"},
    "a foreign origin, fetched here": {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    "only a referrer": {"Referer": "{base}/"},
}


def whoever_may(name: str) -> tuple[str, str]:
    """Somebody whom the table lets do it: the test must not pass because they may not."""
    console, customer = TABLE[name]["console"], TABLE[name]["customer"]
    if set(console) != {404}:
        return "console", OMNIADMIN
    return "customer", TEMPORARY if customer[2] == 403 else ADMIN


@pytest.mark.parametrize("name", POSTS)
def test_s34_a_change_from_elsewhere_is_refused(name: str, stage: Stage, play: Play) -> None:
    """A right cookie and a right token are worth nothing when the page was not ours, on every route that changes."""
    place, person = whoever_may(name)
    world = play()
    browser = stage.browser(world, place, person)
    browser.get("/login")
    base = CONSOLE if place == "console" else ACME
    words = {"base": base, "host": urlsplit(base).hostname}
    url = TABLE[name].get("open", name.split(" ")[1]).format(**stage.words)
    token, before, accepted = browser.token, everything(world), []
    for source, headers in FOREIGN_SOURCES.items():
        sent = {key: value.format(**words) for key, value in headers.items()}
        status = browser.post(url, TABLE[name].get("form", {}), token=token, headers=sent).status_code
        if status != 403:
            accepted.append((source, status))
    assert accepted == []
    assert everything(world) == before


@pytest.mark.parametrize("name", POSTS)
def test_s34_a_change_without_this_sessions_token_is_refused(name: str, stage: Stage, play: Play) -> None:
    """No token, an invented one, another session's and an anonymous one all answer 403, on every route that changes."""
    place, person = whoever_may(name)
    world = play()
    other = stage.browser(world, place, ADMIN if person != ADMIN else TEMPORARY)
    anonymous = world.browser(CONSOLE if place == "console" else ACME)
    for one in (other, anonymous):
        one.get("/login")
    browser = stage.browser(world, place, person)
    browser.get("/login")
    tokens = {"none": "", "invented": "x" * 60, "another session's": other.token, "an anonymous one": anonymous.token}
    assert len({browser.token, *tokens.values()}) == 5
    url = TABLE[name].get("open", name.split(" ")[1]).format(**stage.words)
    before, accepted = everything(world), []
    for what, token in tokens.items():
        status = browser.post(url, TABLE[name].get("form", {}), token=token).status_code
        if status != 403:
            accepted.append((what, status))
    assert accepted == []
    assert everything(world) == before


def test_s34_only_views_for_programs_go_unchecked_and_none_of_them_reads_a_session(world: World) -> None:
    """The list is short and written by hand, and a rule that was for programs and for somebody's session is none."""
    posted = {
        f"POST {one.rule}"
        for one in world.app.url_map.iter_rules()
        if "POST" in (one.methods or ()) and getattr(guard.rule_of(world.app, one.endpoint), "machine", False)
    }
    assert posted == {name for name in TABLE if "machine" in TABLE[name]}
    for reads in ({"roles": frozenset({"member"})}, {"support": True}, {"optional": True}):
        with pytest.raises(ValueError, match="reads no session"):
            guard.Rule(place="every", machine=True, **reads)


@pytest.mark.parametrize("name", [name for name in TABLE if "machine" in TABLE[name]])
def test_s34_a_view_for_programs_knows_nobody(name: str, stage: Stage, play: Play) -> None:
    """From any page, in the browser of whoever is inside: the answer is a stranger's, and nothing changes."""
    world = play()
    before = everything(world)
    answers = []
    for person in (ANONYMOUS, ADMIN, TEMPORARY):
        browser = stage.browser(world, "customer", person)
        answer = browser.post(name.split(" ")[1], TABLE[name].get("form", {}), headers=FOREIGN_SOURCES["a null origin"])
        answers.append((answer.status_code, answer.get_data(), "Set-Cookie" in answer.headers))
    assert len(set(answers)) == 1
    assert not answers[0][2]
    assert everything(world) == before


def test_s34_a_token_of_the_same_person_in_another_session_is_refused(world: World) -> None:
    """The token belongs to the session, not to the person: a second sign-in has its own."""
    world.omniadmin()
    first, second = world.signed_in(), world.signed_in()
    first.get("/logout")
    second.get("/logout")
    assert second.post("/logout", token=first.token).status_code == 403
    assert second.get("/").status_code == 200


def test_s34_the_token_of_before_the_sign_in_dies_with_it(world: World) -> None:
    """What a page knew before signing in cannot change anything afterwards."""
    world.omniadmin()
    before = world.browser()
    before.get("/login")
    token = before.token
    before.post("/login", {"email": "ada@operator.example", "password": PASSWORD}, follow=True)
    before.post("/login/verify", {"code": world.next_code()}, follow=True)
    assert before.post("/logout", token=token).status_code == 403
    assert before.get("/").status_code == 200


def test_s34_a_forged_sign_in_does_not_sign_anybody_in(world: World) -> None:
    """Another site cannot sign its visitor in to an account of its own choosing."""
    world.user(world.default_instance(), "mallory@operator.example")
    victim = world.browser()
    victim.get("/login")
    token, sent = victim.token, {"email": "mallory@operator.example", "password": PASSWORD}
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        assert victim.post("/login", sent, token=token, headers=headers).status_code == 403
    assert victim.get("/").status_code == 302


def test_s34_a_browser_that_sends_no_origin_but_says_same_origin_is_heard(world: World) -> None:
    """Sec-Fetch-Site stands in where a browser leaves the origin out; nobody can set it from another site."""
    world.omniadmin()
    browser = world.signed_in()
    browser.get("/logout")
    response = browser.post("/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert response.status_code == 303


def test_s34_get_never_signs_out(world: World) -> None:
    """A link or an image to /logout changes nothing."""
    world.omniadmin()
    browser = world.signed_in()
    for method in ("GET", "HEAD"):
        browser.get("/logout", method=method)
    assert browser.get("/").status_code == 200
