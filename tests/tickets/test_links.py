"""S02: looking at a link changes nothing, whoever looks, however often."""

from __future__ import annotations

import pytest

from instances import directory, inviting
from instances.models import VirtualInstance
from tempadmin.accounts import omniadmins
from tempadmin.audit.log import Actor
from tests.browser import Browser
from tests.conftest import Build
from tests.tickets.evidence import ACME, BEA, dump, key_in, to_return
from tests.world import CONSOLE, World, link_in
from tickets.states import State

TIMES = 20


@pytest.fixture
def world(build: Build) -> World:
    """A world without a ceiling on changes per address: these tests send more than anybody."""
    return build(rate_limits=False)


@pytest.fixture
def links(world: World, acme: VirtualInstance) -> dict[str, str]:
    """Every kind of link that is mailed or shown, each alive; and the addresses of the hand-off between them."""
    world.omniadmin(BEA, "Bea Ek")
    boss = world.administrator(acme, "boss@acme.example")
    acting = directory.Acting(
        user_id=boss.id, instance_id=acme.id, actor=Actor(id=boss.id, name=boss.full_name), request_id=None
    )
    inviting.invite(acting=acting, email="kim@acme.example", full_name="Kim", role="member", runtime=world.runtime)
    invitation = link_in(world.mails()[-1])
    enrolment = omniadmins.reset_factor(instance_id=world.default_instance().id, email=BEA, runtime=world.runtime)
    world.instance("borealis")
    ada = world.signed_in()
    ready = world.ask(ada, "borealis")
    sign_in = world.confirm(ada)
    awaiting = world.ask(ada, "acme")
    departed = ada.get(sign_in).headers["Location"]
    return {
        "invitation": invitation,
        "enrolment": f"{CONSOLE}/welcome?key={enrolment}",
        "confirmation": world.confirmation_link(),
        "return": to_return(ada, sign_in),  # before the sign-in link: a verifier in the browser may burn the code
        "sign-in": sign_in,
        "hand-off": departed,
        "continue": departed.replace("/access/enter", "/access/continue"),
        "request": f"{CONSOLE}/access/{awaiting.public_id}",
        "other request": f"{CONSOLE}/access/{ready.public_id}",
        "cancel": f"{CONSOLE}/access/{awaiting.public_id}/cancel",
        "not me": f"{CONSOLE}/access/not-me?key={key_in(world.confirmation_link())}",
        "left": "http://borealis.localhost:8000/left",
        "sign-in page": f"{ACME}/login",
    }


def look(browser: Browser, url: str, method: str) -> int:
    """Ask for a link as a scanner does: no form, no token, no origin."""
    return browser.get(url, method=method).status_code


def test_s02_links_change_nothing_without_cookies(world: World, links: dict[str, str]) -> None:
    """Scanners and previews may GET, HEAD and POST every link twenty times; the database stays as it is."""
    before = dump(world)
    statuses = {
        (name, method): {look(world.browser(), url, method) for _ in range(TIMES)}
        for name, url in links.items()
        for method in ("GET", "HEAD", "POST")
    }
    assert dump(world) == before
    assert all(max(seen) < 500 for seen in statuses.values()), statuses
    assert all(min(seen) >= 400 for (_, method), seen in statuses.items() if method == "POST"), statuses


def test_s02_links_change_nothing_for_the_signed_in_requester(world: World, links: dict[str, str]) -> None:
    """The requester's own browser may GET and HEAD every link that writes nothing by design, twenty times."""
    ada = world.signed_in()
    before = dump(world)
    for name, url in links.items():
        if name != "hand-off":  # its GET is one of the two that write
            assert {look(ada, url, "GET") for _ in range(TIMES)} <= {200, 303, 404, 405, 409}, name
        assert {look(ada, url, "HEAD") for _ in range(TIMES)} <= {200, 303, 404, 405, 409}, name
        assert look(ada, url, "POST") in (403, 404, 405), name
    assert dump(world) == before


def test_s02_links_change_nothing_for_another_omniadmin(world: World, links: dict[str, str]) -> None:
    """Somebody else's session makes no difference, not even on the two GETs that write for the requester."""
    bea = world.signed_in(BEA)
    before = dump(world)
    for url in links.values():
        for method in ("GET", "HEAD", "POST"):
            assert {look(bea, url, method) for _ in range(TIMES)}.isdisjoint({500})
    assert dump(world) == before


def test_s02_head_writes_nothing_where_get_does(world: World, acme: VirtualInstance) -> None:
    """HEAD on both writing GETs, with everything that GET would need, answers 405 and leaves no trace."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    link = world.confirm(ada)
    departed = ada.get(link).headers["Location"]
    before = dump(world)
    assert {look(ada, departed, "HEAD") for _ in range(TIMES)} == {405}
    assert dump(world) == before
    back = ada.get(departed).headers["Location"]
    before = dump(world)
    assert {look(ada, back, "HEAD") for _ in range(TIMES)} == {405}
    assert dump(world) == before
    assert ada.get(back, follow=True).status_code == 200
    assert world.request(request.id).state == State.ACTIVE


def test_s02_the_two_writing_gets_write_only_what_they_must(world: World, acme: VirtualInstance) -> None:
    """Issuing a code touches the ticket and the record; only the return touches request, account and sessions."""
    ada = world.signed_in()
    world.ask(ada, "acme")
    link = world.confirm(ada)
    before = dump(world)
    back = to_return(ada, link)
    issued = dump(world)
    assert {name for name in before if before[name] != issued[name]} == {
        "tickets",
        "audit_events",
        "audit_heads",
    }
    ada.get(back)
    entered = dump(world)
    assert {name for name in before if issued[name] != entered[name]} - {"outbox_messages"} == {
        "tickets",
        "audit_events",
        "audit_heads",
        "access_requests",
        "users",
        "login_sessions",
    }
