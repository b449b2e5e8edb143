"""A customer's product that is down, slow or hostile: pages answer, other customers notice nothing, and it heals."""

from __future__ import annotations

import pytest

from tempadmin.audit.log import SERVICE
from tempadmin.clock import steady_seconds
from tempadmin.db import db
from tests.instances.products import (
    OK,
    Script,
    certificate,
    for_ever,
    hanging,
    hanging_up,
    product,
    saying,
    with_length,
)
from tests.instances.scim_server import TOKEN
from tests.tickets.behind_scim import PATIENCE, Behind, behind_scim, go_on
from tests.tickets.evidence import assert_gone, dump
from tests.tickets.scenes import bring
from tests.world import CONSOLE, REASON, World
from tickets.activation import activate_due
from tickets.end import end_access
from tickets.queries import needs_attention
from tickets.states import EndReason, State

SECONDS = 7.0
"""What a page may take on a busy machine while a product hangs: nobody waits longer than 5 s for directories."""
SILENT = f"no whole answer within {PATIENCE.total_seconds():g} s"
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"

BAD: dict[str, tuple[Script, str]] = {
    "is down": (hanging_up, "no HTTP: Server disconnected"),
    "hangs": (hanging, SILENT),
    "is huge": (for_ever(OK + b"Content-Length: 9999999999\r\n\r\n", b" " * 65536), "longer than 1024 KiB"),
    "answers HTML": (saying(with_length(b"<h1>Sign in</h1>", HTML)), "text/html: “<h1>Sign in</h1>”"),
    "repeats our token": (
        saying(with_length(TOKEN.encode(), b"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\n")),
        "answered 500 (text/plain): “***”",
    ),
}


def end(behind: Behind) -> float:
    """End an access; return the seconds that whoever ended it waited."""
    began, scene = steady_seconds(), behind.scene
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=SERVICE, runtime=behind.world.runtime)
    return steady_seconds() - began


def assert_told(behind: Behind, words: str, failures: int) -> None:
    """The error stands at the request, short and without a secret."""
    request = behind.request
    assert (request.state, request.removal_failures) == (State.ENDING, failures)
    assert words in (request.last_error or "")
    assert len(request.last_error or "") <= 300
    assert TOKEN not in str(dump(behind.world))


@pytest.mark.only_sqlite
@pytest.mark.parametrize("what", BAD)
def test_p11_an_end_at_a_hostile_product_is_told_harms_nobody_else_and_heals(world: World, what: str) -> None:
    """Pages are prompt, another customer's access begins and ends, attention appears, and all goes when it heals."""
    script, words = BAD[what]
    with behind_scim(world) as bad, behind_scim(world) as good:
        bad.go_in()
        good.go_in()
        good.login.tokens()
        (account,) = bad.users.users()
        bad.server.script = script
        assert end(bad) < SECONDS
        assert_told(bad, words, 1)
        ada, began = bad.scene.browser(world), steady_seconds()
        assert words.split("“")[0].rstrip() in ada.get(bad.scene.page).get_data(as_text=True)
        assert ada.get(f"{CONSOLE}/access").status_code == 200
        assert steady_seconds() - began < SECONDS
        assert end(good) < SECONDS
        assert_gone(world, good.scene.request_id, "logout")
        for failures in (2, 3):
            go_on(world, minutes=1)
            assert_told(bad, words, failures)
        assert needs_attention(bad.request, now=world.clock.now())
        assert account in bad.users.users()
        bad.heals()
        go_on(world, minutes=2)
        assert_gone(world, bad.scene.request_id, "logout")
        assert bad.users.users() == {}


@pytest.mark.only_sqlite
def test_p11_a_product_that_points_inside_is_not_followed(world: World) -> None:
    """Neither by what removes the account nor by what tells the product: nothing of ours comes to the inside."""
    with product(saying(with_length(b"{}"))) as inside:
        head = f"HTTP/1.1 307 Go\r\nLocation: http://localhost:{inside.port}/latest/meta-data?x={TOKEN}\r\n".encode()
        with product(saying(with_length(b"", head))) as door, behind_scim(world, logout=door.url) as bad:
            bad.go_in()
            bad.login.tokens()
            end(bad)
            assert_told(bad, "the product was not told of the end", 1)
            assert bad.users.users() == {}
            bad.server.script = door.script
            go_on(world, minutes=1)
            assert_told(bad, f"a redirect to http://localhost:{inside.port}/latest/meta-data;", 2)
        assert (inside.visits, door.visits) == (0, 2)


@pytest.mark.only_sqlite
def test_p11_a_product_that_does_not_acknowledge_keeps_nobody_waiting(world: World) -> None:
    """Its logout hangs, its account can be removed: half of the time is the removal's, whatever hangs before."""
    with product(hanging) as door, behind_scim(world, logout=door.url) as bad:
        bad.go_in()
        bad.login.tokens()
        assert end(bad) < SECONDS
        assert_told(bad, "the product was not told of the end: POST http://localhost", 1)
        assert bad.users.users() == {}
        door.script = saying(with_length(b"", b"HTTP/1.1 200 OK\r\n"))
        go_on(world, minutes=1)
        assert_gone(world, bad.scene.request_id, "logout")


@pytest.mark.only_sqlite
def test_p11_a_product_with_the_certificate_of_another_name_is_not_believed(world: World, tmp_path) -> None:
    """Not one byte of ours is sent to it; with its own certificate again, the account goes."""
    (right, pem), (wrong, other) = certificate(tmp_path, "localhost"), certificate(tmp_path, "elsewhere.example")
    with behind_scim(world, context=right, ca_pem=pem + other) as bad:
        bad.go_in()
        bad.server.context = wrong
        end(bad)
        assert_told(bad, "its certificate is for another name", 1)
        bad.server.context = right
        go_on(world, minutes=1)
        assert_gone(world, bad.scene.request_id, "logout")


def test_a_product_that_hangs_while_somebody_asks_and_enters_is_told_and_goes_on(world: World) -> None:
    """Asking and entering answer in time; what could not be made or let in is, when the product is well again."""
    with behind_scim(world, until=None) as slow:
        slow.server.script = hanging
        browser, began = slow.scene.browser(world), steady_seconds()
        page = f"{CONSOLE}/instances/{slow.scene.web_id}/request-access"
        browser.get(page)
        browser.post(page, {"reason": REASON, "duration": "3600"}, follow=True)
        assert steady_seconds() - began < SECONDS
        request = world.newest_request()
        assert (request.state, request.create_attempts) == (State.PROVISIONING, 1)
        assert SILENT in (request.last_error or "")
        slow.heals()
        go_on(world, seconds=10)
        assert world.request(request.id).state == State.AWAITING_CONFIRMATION
        end_access(request_id=request.id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)
        assert_gone(world, request.id, "cancelled")
        bring(world, slow.scene, State.READY)
        slow.server.script = hanging
        began = steady_seconds()
        slow.go_in()
        assert steady_seconds() - began < SECONDS
        assert (slow.request.activated_at, slow.request.last_error is None) == (None, False)
        slow.heals()
        world.clock.advance(minutes=1)
        db.session.rollback()
        assert activate_due(world.runtime) == "1 let in"
        assert [one["active"] for one in slow.users.users().values()] == [True]
        end(slow)
        assert_gone(world, slow.scene.request_id, "logout")
