"""What a SCIM server will not do is said in words: whether it helps to ask again, which setting is wrong, no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from instances.connectors.base import Account, ConnectorError
from instances.models import VirtualInstance
from tests.instances.conftest import MakeTemporary
from tests.instances.scim_directory import Scimmed, connect
from tests.instances.scim_server import GROUP, TOKEN, Asked, Manner, Said, Serve, html
from tests.world import World

pytestmark = pytest.mark.only_sqlite


def wanted() -> None:
    """The guard of an access that goes on."""


@pytest.fixture
def scim(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Scimmed:
    return Scimmed(world, birch, temporary)


@pytest.fixture
def account(scim: Scimmed) -> Account:
    return scim.reserve(77)


def error_of(call: Callable[[], object]) -> ConnectorError:
    with pytest.raises(ConnectorError) as refused:
        call()
    return refused.value


def saying(said: Said, *methods: str, path: str = "/") -> Manner:
    """Answer certain requests with this, all others honestly."""

    def answer(asked: Asked, serve: Serve) -> Said:
        return said if asked.method in methods and asked.path.startswith(path) else serve(asked)

    return answer


def making(scim: Scimmed, account: Account) -> ConnectorError:
    return error_of(lambda: scim.connector.create(account, still_wanted=wanted))


@pytest.mark.parametrize(
    ("said", "expected", "words"),
    [
        (Said(401, f'{{"detail":"no {TOKEN}"}}'.encode()), (True, "token"), "does not take our credentials"),
        (html(403), (True, "token"), "does not let us do that"),
        (html(404), (True, "url"), "404"),
        (replace(html(429), headers={"Retry-After": "17"}), (False, None), "asks to wait 17 s"),
        (replace(html(429), headers={"Retry-After": "\x7f<b>"}), (False, None), "asks to wait:"),
        (html(503), (False, None), "503"),
        (html(200), (False, "url"), "answered no SCIM: 200, text/html"),
        (Said(200, b"[1, 2]"), (False, "url"), "no SCIM"),
        (Said(200, b'{"Resources": {"0": 1}, "totalResults": 1}'), (False, "url"), "a list that is none"),
        (Said(200, b'{"Resources": [{"id": "7"}], "totalResults": 1}'), (False, "url"), "without id or userName"),
        (Said(200, b"[" * 90000), (False, "url"), "no SCIM"),
        (Said(204), (False, "url"), "no SCIM"),
        (Said(302, b"", {"Location": "https://login.example/?next=x"}), (False, "url"), "redirect"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Said) else "",
)
def test_p12_what_came_back_is_said_with_the_setting_and_no_secret(
    scim: Scimmed, account: Account, said: Said, expected: tuple[bool, str | None], words: str
) -> None:
    """Nothing is made, and nothing is taken as gone, by a server whose lists cannot be read."""
    scim.product.manner = saying(said, "GET")
    made, listed = making(scim, account), error_of(lambda: list(scim.connector.listed(account.instance_id)))
    gone = error_of(lambda: scim.connector.remove(account))
    for error in (made, listed, gone):
        assert (error.permanent, error.setting) == expected, error
        assert words in str(error)
        assert TOKEN not in str(error)
        assert str(error).isprintable()
    assert set(scim.product.methods()) == {"GET"}


def test_p1_a_duplicate_that_nobody_shows_is_an_error_for_good(scim: Scimmed, account: Account) -> None:
    """409, and the look finds nothing: a deleted account whose name is kept, maybe; asking again will not help."""
    scim.product.manner = saying(Said(409, b"{}"), "POST")
    error = making(scim, account)
    assert error.permanent
    assert "409" in str(error)


def test_p1_a_stranger_of_our_name_in_capitals_is_never_taken(scim: Scimmed, account: Account) -> None:
    """User names have no case there: the account cannot be made, and there is nothing of ours to remove."""
    scim.product.put("User", userName=account.name.upper(), active=True)
    before = scim.product.users()
    error = making(scim, account)
    assert error.permanent
    assert "not ours" in str(error)
    scim.connector.remove(account)
    assert not scim.connector.exists(account)
    assert scim.product.users() == before
    assert set(scim.product.methods()) == {"GET"}


def test_p1_a_twin_in_capitals_does_not_keep_ours_from_being_removed(scim: Scimmed, account: Account) -> None:
    """Canaille's user names have a case, so a customer may make one: it is seen, left alone, and holds nothing up."""
    twin = {"id": "twin", "userName": account.name.upper(), "externalId": account.marker[:-1]}

    def manner(asked: Asked, serve: Serve) -> Said:
        if asked.path == "/Users/twin":
            return Said(200).of(twin)
        said = serve(asked)
        if (asked.method, asked.path) != ("GET", "/Users"):
            return said
        return said.of({**said.json, "Resources": [twin, *said.json.get("Resources", [])], "totalResults": 1})

    scim.connector.create(account, still_wanted=wanted)
    scim.product.manner = manner
    scim.connector.create(account, still_wanted=wanted)
    listed = {one.name: one.ours for one in scim.connector.listed(account.instance_id)}
    assert listed == {account.name: True, account.name.upper(): False}
    scim.connector.remove(account)
    assert scim.product.users() == {}
    assert not [asked for asked in scim.product.asked if asked.path == "/Users/twin" and asked.method != "GET"]


@pytest.mark.parametrize("answer", [html(500), html(504), Said(409, b"{}"), html(201), Said(201)])
def test_p1_what_was_made_in_spite_of_the_answer_is_found(scim: Scimmed, account: Account, answer: Said) -> None:
    """An HTML page with 500 for a duplicate, a time-out of a proxy, a page that says well done: the look decides."""

    def manner(asked: Asked, serve: Serve) -> Said:
        said = serve(asked)
        return answer if asked.method == "POST" else said

    scim.product.manner = manner
    scim.connector.create(account, still_wanted=wanted)
    assert scim.is_administrator(account)


@pytest.mark.parametrize("attribute", ["title", "nickName", "userType"])
def test_p1_a_server_that_drops_our_marker_keeps_no_account(
    world: World, scim: Scimmed, account: Account, attribute: str
) -> None:
    """What could never be proven ours goes at once; by another attribute the same server will do."""

    def manner(asked: Asked, serve: Serve) -> Said:
        sent = asked.json if asked.method == "POST" else {}
        sent.pop("externalId", None)
        return serve(replace(asked, body=json.dumps(sent).encode()) if sent else asked)

    scim.product.manner = manner
    error = making(scim, account)
    assert (error.permanent, error.setting) == (True, "marker_attribute")
    assert "externalId" in str(error)
    assert scim.product.users() == {}
    connect(world, account.instance_id, scim.product, marker_attribute=attribute)
    scim.connector.create(account, still_wanted=wanted)
    assert scim.product.users()[account.name][attribute] == account.marker
    scim.connector.remove(account)
    assert scim.product.users() == {}


def test_p1_an_account_under_another_name_goes_at_once(scim: Scimmed, account: Account) -> None:
    """The server appends its domain: the marker proves the account ours, its name that it cannot be used."""

    def manner(asked: Asked, serve: Serve) -> Said:
        return serve(replace(asked, body=asked.body.replace(f'"{account.name}"'.encode(), b'"somebody@birch"')))

    scim.product.manner = manner
    error = making(scim, account)
    assert error.permanent
    assert "somebody@birch" in str(error)
    assert scim.product.users() == {}


def test_p11_a_change_that_only_seems_to_happen_is_noticed(world: World, scim: Scimmed, account: Account) -> None:
    """The server says that it did it, and did nothing: an activation and a deletion are read back."""
    scim.connector.create(account, still_wanted=wanted)
    scim.product.manner = saying(Said(204), "PATCH", "DELETE")
    until = world.clock.now() + timedelta(hours=1)
    shut = error_of(lambda: scim.connector.activate(account, secret=None, until=until, still_wanted=wanted))
    assert not shut.permanent
    assert "is active now, and it is not" in str(shut)
    kept = error_of(lambda: scim.connector.remove(account))
    assert (str(kept), kept.permanent) == ("the account is still there", False)


def test_an_account_without_the_power_is_not_made(scim: Scimmed, account: Account) -> None:
    """The group's change was answered by success, and its members are as before."""
    scim.product.manner = saying(Said(204), "PATCH", path="/Groups")
    error = making(scim, account)
    assert (error.permanent, error.setting) == (False, "administrator_group")
    assert GROUP in str(error)
