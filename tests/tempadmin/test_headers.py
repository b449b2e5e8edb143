"""The headers and cookies of every answer, also of errors, on http and on https (S07, S40)."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from werkzeug.test import TestResponse

from tempadmin.errors import RateLimited, Unavailable
from tempadmin.web.guard import public
from tests.conftest import Build
from tests.tempadmin.conftest import Play
from tests.tempadmin.stage import ADMIN, OMNIADMIN, TEMPORARY, Stage
from tests.tempadmin.test_routes import TABLE
from tests.world import CONSOLE, PASSWORD, World

HTTPS = "https://console.example.com"
FILES = ("GET /static/<path:filename>", "GET /bootstrap/static/<path:filename>")


def missing(response: TestResponse, *, file: bool = False) -> list[str]:
    """What an answer lacks."""
    headers, problems = response.headers, []
    policy = dict(part.strip().split(" ", 1) for part in headers.get("Content-Security-Policy", "x y").split(";"))
    wanted = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "object-src": "'none'",
    }
    problems += [name for name, value in wanted.items() if policy.get(name) != value]
    if "unsafe" in headers.get("Content-Security-Policy", "unsafe"):
        problems.append("unsafe")
    exact = {"Referrer-Policy": "strict-origin", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
    problems += [name for name, value in exact.items() if headers.get(name) != value]
    if not file and headers.get("Cache-Control") != "no-store":
        problems.append("no-store")
    return problems


@pytest.mark.only_sqlite
@pytest.mark.parametrize("name", TABLE)
def test_s40_every_answer_carries_the_headers(name: str, stage: Stage, play: Play) -> None:
    """Pages, redirects, refusals and files alike, for somebody who may and for somebody who may not."""
    method, rule = name.split(" ")
    url = TABLE[name].get("open", rule).format(**stage.words)
    world, bare = play(), {}
    for place, person in (("console", OMNIADMIN), ("customer", ADMIN), ("customer", TEMPORARY), ("console", TEMPORARY)):
        browser = stage.browser(world, place, person)
        browser.get("/login")
        answer = browser.post(url, TABLE[name].get("form", {})) if method == "POST" else browser.get(url)
        if lacks := missing(answer, file=name in FILES):
            bare[place, person, answer.status_code] = lacks
    assert bare == {}


def test_s40_every_error_carries_the_headers(world: World) -> None:
    """Each error that a view can raise becomes a page with the headers and without a stack trace."""

    @public()
    def fails(kind: str) -> str:
        raise {"429": RateLimited("Slowly.", retry_after=7), "503": Unavailable("Later.")}.get(kind, ZeroDivisionError)

    world.app.add_url_rule("/fails/<kind>", "fails", fails)
    browser = world.browser()
    for kind, status in (("429", 429), ("503", 503), ("500", 500)):
        response = browser.get(f"/fails/{kind}")
        assert response.status_code == status
        assert missing(response) == []
        assert "Traceback" not in browser.page
        assert "ZeroDivisionError" not in browser.page
    assert browser.get("/fails/429").headers["Retry-After"] == "7"
    assert int(browser.get("/fails/503").headers["Retry-After"]) > 0


def test_s40_what_is_too_large_or_unreadable_carries_the_headers(world: World) -> None:
    """A body of two megabytes, one that is no form, and odd addresses are answered in words."""
    browser = world.browser()
    browser.get("/login")
    large = browser.post("/login", {"email": "x" * 2_000_000})
    assert large.status_code == 413
    assert missing(large) == []
    for url in ("/%00", "/users/99999999999999999999999999", "/access/" + "x" * 5000, "/%ff%fe", "//evil.example/"):
        response = browser.get(CONSOLE + url)
        assert response.status_code in (302, 404), url
        assert missing(response) == [], url
        assert "evil" not in response.headers.get("Location", "")


def test_s40_an_unknown_host_gets_the_headers(world: World) -> None:
    """The only page of a host that nobody knows is no exception."""
    response = world.browser("http://evil.example").get("/")
    assert response.status_code == 404
    assert missing(response) == []


def test_s40_over_http_on_localhost_nothing_promises_https(world: World) -> None:
    """No HSTS and no Secure cookie where there is no https: browsers would drop them."""
    world.omniadmin()
    response = world.browser().get("/login")
    assert "Strict-Transport-Security" not in response.headers
    assert "Secure" not in response.headers["Set-Cookie"]


def test_s40_over_https_every_answer_has_hsts(build: Build) -> None:
    """Pages, files, errors and unknown hosts."""
    world = build(base_url=HTTPS)
    browser = world.browser(HTTPS)
    for url in ("/login", "/", "/nothing", "/static/favicon.svg", "/healthz", "https://evil.example/"):
        hsts = browser.get(url).headers.get("Strict-Transport-Security", "")
        assert int(hsts.partition("max-age=")[2].partition(";")[0] or 0) >= 31_536_000, url


def test_s40_over_https_every_cookie_is_host_only_and_secure(build: Build) -> None:
    """Each cookie of the whole way in and out: __Host-, Secure, HttpOnly, SameSite=Lax, Path=/ and no Domain."""
    world = build(base_url=HTTPS)
    world.omniadmin()
    world.instance("acme")
    cookies = []

    def keep(response: TestResponse) -> TestResponse:
        cookies.extend(response.headers.getlist("Set-Cookie"))
        return response

    ada = world.browser(HTTPS)
    keep(ada.get("/login"))
    keep(ada.post("/login", {"email": "ada@operator.example", "password": PASSWORD}))
    keep(ada.get("/login/verify"))
    keep(ada.post("/login/verify", {"code": world.next_code()}))
    assert ada.get("/").status_code == 200
    ada.get("/instances/acme/request-access")
    keep(ada.post("", {"reason": "To look at the start page.", "duration": "3600"}, follow=True))
    link = world.confirmation_link()
    ada.get(link)
    ada.post(link, {"code": world.next_code()})
    response = keep(ada.get(ada.link(r"https://acme\.localhost/login/ticket\?key=[\w.-]+")))
    while "Location" in response.headers:
        response = keep(ada.get(urljoin(ada.asked, response.headers["Location"])))
    assert "Log out and delete this account" in ada.text
    keep(ada.post("/support-session/leave"))
    ada.get(HTTPS + "/logout")
    keep(ada.post("/logout"))

    names = {cookie.partition("=")[0] for cookie in cookies}
    assert {f"__Host-tempadmin_{name}" for name in ("session", "pre", "handoff", "device")} == names
    for cookie in cookies:
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= attributes, cookie
        assert not any(attribute.startswith("domain") for attribute in attributes), cookie
