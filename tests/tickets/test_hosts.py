"""S08: links come from settings and the instance's row; what a request says about hosts changes nothing."""

from __future__ import annotations

from contextvars import Context
from itertools import product
from typing import Any

import pytest

from instances.models import VirtualInstance
from tests.conftest import Build
from tests.tickets.evidence import ACME, to_return
from tests.world import CONSOLE, REASON, World

FORGED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "444",
    "X-Forwarded-Prefix": "/evil",
    "X-Original-Host": "evil.example",
    "X-Host": "evil.example",
    "X-Original-Url": "http://evil.example/",
    "X-Rewrite-Url": "http://evil.example/",
    "Forwarded": "host=evil.example;proto=https",
}
UNKNOWN = [
    "evil.example",
    "evil.example:8000",
    "acme.localhost.evil.example",
    "evilacme.localhost",
    "acme.localhost@evil.example",
    "acme.localhost:8000@evil.example",
    "acme.localhost:8000:81",
    "acme.localhost:evil",
    "acme.localhost/evil",
    "acme.localhost\\evil.example",
    "acme.localhost#evil.example",
    "acme.localhost?evil.example",
    "acme.localhost evil.example",
    "acme.localhost,evil.example",
    "%61cme.localhost",
    "acme。localhost",
    "аcme.localhost",
    "localhost.evil.example",
    "127.0.0.2",
    "127.1",
    "2130706433",
    "[::1]",
    "[::1]:8000",
    "0",
    "*",
    ".",
    ":8000",
    "nobody.localhost",
]


def open_as(world: World, host: str, path: str, **headers: str) -> Any:
    """Ask for a path with a Host header of one's own."""
    client = world.app.test_client()
    sent = {**headers, "Host": host.encode().decode("latin-1")}
    return Context().run(client.get, path, base_url=CONSOLE, headers=sent)


def test_s08_an_unknown_host_gets_404_and_nothing_else(world: World, acme: VirtualInstance) -> None:
    """No page, no redirect, no name of ours – whatever the address; and never a failure."""
    paths = ("/", "/login", "/login/ticket?key=x", "/access/confirm?key=x", "/users", "/static/tempadmin.css", "/x")
    for host, path in product(UNKNOWN, paths):
        response = open_as(world, host, path)
        assert response.status_code in (400, 404), (host, path, response.status_code)
        assert "Location" not in response.headers
        body = response.get_data(as_text=True)
        assert "Acme" not in body
        assert "evil" not in body


def test_s08_an_unknown_host_gets_no_cookie(world: World, acme: VirtualInstance) -> None:
    """404 and nothing else: not even the pre-session's cookie."""
    response = open_as(world, "evil.example", "/login")
    assert response.status_code == 404
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("host", ["ACME.localhost:8000", "Acme.LocalHost", "acme.localhost:9999", "acme.localhost."])
def test_s08_other_spellings_of_a_host_make_no_other_links(world: World, acme: VirtualInstance, host: str) -> None:
    """Case, port and a final dot of the Host header appear in no link; a spelling that is not known is 404."""
    ada = world.signed_in()
    world.ask(ada, "acme")
    link = world.confirm(ada)
    response = open_as(world, host, link.removeprefix(ACME))
    assert response.status_code in (303, 404)
    if response.status_code == 303:
        assert response.headers["Location"].startswith(f"{CONSOLE}/access/enter?")


@pytest.mark.parametrize("hops", [0, 1])
def test_s08_forged_headers_change_no_link(build: Build, hops: int) -> None:
    """Mailed, shown and followed links are the same with every forwarding header forged, behind a proxy or not."""
    world = build(trusted_proxies=hops)
    acme = world.instance("acme")
    world.omniadmin()
    ada = world.signed_in()
    url = f"{CONSOLE}/instances/acme/request-access"
    forged: dict[str, Any] = {key.replace("-", "_"): value for key, value in FORGED.items()}
    ada.get(url, **forged)
    headers = {**FORGED, "Origin": CONSOLE}
    asked = ada.post(url, {"reason": REASON, "duration": "3600"}, headers=headers)
    assert asked.headers["Location"].startswith("/access/")
    mail = world.mails()[-1]
    assert "evil" not in mail
    confirmation = world.confirmation_link()
    assert confirmation.startswith(f"{CONSOLE}/access/confirm?key=")
    ada.get(confirmation, **forged)
    ada.post(confirmation, {"code": world.next_code()}, headers=headers)
    assert "evil" not in ada.page
    link = ada.link(r"http://acme\.localhost:8000/login/ticket\?key=[\w.-]+")
    departed = ada.get(link, **forged).headers["Location"]
    assert departed.startswith(f"{CONSOLE}/access/enter?request=")
    back = ada.get(departed, **forged).headers["Location"]
    assert back.startswith(f"{ACME}/login/return?code=")
    assert ada.get(back, **forged).headers["Location"] == "/"
    assert acme.web_id in ada.get(f"{ACME}/settings", **forged).get_data(as_text=True)


def test_s08_a_forged_host_finds_no_ticket(world: World, acme: VirtualInstance) -> None:
    """``X-Forwarded-Host`` with the right host does not make a foreign one right."""
    ada = world.signed_in()
    world.ask(ada, "acme")
    link = world.confirm(ada)
    path = link.removeprefix(ACME)
    response = open_as(world, "evil.example", path, **{"X-Forwarded-Host": "acme.localhost:8000"})
    assert response.status_code == 404
    assert to_return(ada, link).startswith(f"{ACME}/login/return?code=")


def test_s08_an_archived_instance_answers_as_an_unknown_host(world: World) -> None:
    """Nothing tells an archived instance's host from one that never was."""
    world.instance("old", archived_at=world.clock.now())
    archived, unknown = (open_as(world, host, "/login") for host in ("old.localhost:8000", "never.localhost:8000"))
    assert archived.status_code == unknown.status_code == 404
    assert archived.get_data() == unknown.get_data()
