"""S25, S33: what nobody can do from within a support session, and that a yes which nobody can give lets nobody in."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from instances.models import VirtualInstance
from tempadmin.accounts.models import Invitation, RecoveryCode, SecondFactor, User
from tempadmin.accounts.people import normalised_email
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict
from tests.browser import Browser
from tests.conftest import Build
from tests.tickets.evidence import ACME, go_inside, thief
from tests.world import CONSOLE, REASON, World
from tickets.models import AccessRequest
from tickets.request import request_access

BOSS = "boss@acme.example"
UNTOUCHED = ("email", "password_hash", "role", "kind", "instance_id", "made_in_request_id", "vouched_at", "active")
FORGED = {
    "email": "thief@evil.example",
    "password": "a password of the thief",
    "password_again": "a password of the thief",
    "password_hash": "x",
    "role": "administrator",
    "kind": "temporary",
    "instance_id": "1",
    "access_request_id": "1",
    "made_in_request_id": "",
    "vouched_at": "2026-01-01T00:00:00",
    "code": "123456",
    "sealed_seed": "x",
}


@pytest.fixture
def support(world: World, acme: VirtualInstance) -> Browser:
    """Ada's support session at Acme, where the boss has a second factor's worth of secrets, and per has none."""
    world.administrator(acme, BOSS)
    world.user(acme, "per@acme.example")
    return thief(world, go_inside(world).cookie)


def person(address: str) -> User:
    db.session.rollback()
    return db.session.scalars(select(User).where(User.email == address)).one()


def secrets_of_people() -> dict[str, list[object]]:
    """Everything by which somebody signs in."""
    db.session.rollback()
    columns = {
        "hashes": select(User.email, User.password_hash).where(User.kind == "regular").order_by(User.id),
        "factors": select(SecondFactor.user_id, SecondFactor.sealed_seed).order_by(SecondFactor.id),
        "codes": select(RecoveryCode.digest).order_by(RecoveryCode.id),
    }
    return {name: [tuple(row) for row in db.session.execute(query)] for name, query in columns.items()}


def test_s25_no_page_of_a_support_session_shows_or_asks_for_credentials(support: Browser) -> None:
    """Neither a field for a password, a code or an existing account's address and role, nor a link that sets one."""
    for address in (BOSS, "per@acme.example"):
        url = f"{ACME}/users/{person(address).id}"
        assert support.get(url).status_code == 200
        fields = set(re.findall(r'<(?:input|select|textarea)[^>]*\bname="([^"]+)"', support.page))
        assert fields <= {"csrf_token", "full_name", "submit"}, fields
    for path in ("/", "/users", "/users/invite", "/settings", f"/users/{person(BOSS).id}"):
        support.get(ACME + path)
        assert not re.search(r'type="password"|/welcome|second-factor|recovery|/account', support.page), path
        for row in secrets_of_people()["hashes"]:
            assert str(row[1]) not in support.page  # type: ignore[index]


@pytest.mark.parametrize("address", [BOSS, "per@acme.example"])
def test_s25_forged_fields_change_nothing_but_the_name(support: Browser, world: World, address: str) -> None:
    """Whatever is sent along with the forms that a support session may send; whom it lets in again is marked."""
    before, secrets = person(address), secrets_of_people()
    values = {column: getattr(before, column) for column in UNTOUCHED}
    for action in ("", "/deactivate", "/activate"):
        url = f"{ACME}/users/{before.id}"
        support.get(url)
        support.post(url + action, {"full_name": "Another Name", **FORGED})
    after = person(address)
    marks = {} if address == BOSS else {"made_in_request_id": world.newest_request().id}
    assert {column: getattr(after, column) for column in UNTOUCHED} == values | marks
    assert after.full_name == "Another Name"
    assert secrets_of_people() == secrets


def test_s25_whom_a_support_session_invites_is_marked_with_its_request(support: Browser, world: World) -> None:
    """By the row and not by the form; the link that sets a password goes by mail to that person alone."""
    support.get(f"{ACME}/users/invite")
    sent = {**FORGED, "full_name": "Kai Berg", "email": "kai@acme.example", "role": "administrator"}
    answer = support.post(f"{ACME}/users/invite", sent)
    assert answer.status_code == 303
    kai = person("kai@acme.example")
    request = world.newest_request()
    assert (kai.made_in_request_id, kai.vouched_at, kai.password_hash, kai.kind) == (request.id, None, None, "regular")
    assert db.session.scalars(select(Invitation.user_id)).all() == [kai.id]
    assert "/welcome?key=" in world.mails()[-1]
    for path in ("/users", f"/users/{kai.id}"):
        support.get(ACME + path)
        assert "/welcome" not in support.page
    assert "/welcome" not in answer.get_data(as_text=True)


def test_s25_a_support_session_decides_nothing_on_the_console(support: Browser, world: World) -> None:
    """Its cookie is nobody's there, so it can neither ask, confirm, cancel nor end."""
    request, secret = world.newest_request(), support.cookie("tempadmin_session", "acme.localhost") or ""
    console = thief(world, secret, CONSOLE)
    console.get(f"{CONSOLE}/login")
    for path in (f"/access/{request.public_id}/{action}" for action in ("cancel", "end", "send-again", "new-link")):
        assert console.post(CONSOLE + path).status_code == 403, path
    assert console.post(f"{CONSOLE}/instances/acme/request-access", {"reason": REASON}).status_code == 403
    assert world.request(request.id).state == "active"


@pytest.mark.parametrize("column", ["require_omniadmin", "require_customer"])
def test_s33_an_approval_that_nobody_can_give_lets_nobody_in(world: World, acme: VirtualInstance, column: str) -> None:
    """Page and use case refuse, with the reason, and nothing is asked for."""
    ada, ada_id = world.signed_in(), person("ada@operator.example").id
    with transaction() as session:
        session.execute(update(VirtualInstance).where(VirtualInstance.web_id == "acme").values({column: True}))
    with pytest.raises(Conflict, match=r"there is none who could|no administrator who could"):
        request_access(
            requester_id=ada_id,
            web_id="acme",
            reason=REASON,
            external_ticket=None,
            duration=timedelta(hours=1),
            runtime=world.runtime,
        )
    ada.get(f"{CONSOLE}/logout")
    sent = {"reason": REASON, "duration": "3600"}
    assert ada.post(f"{CONSOLE}/instances/acme/request-access", sent).status_code == 409
    db.session.rollback()
    assert db.session.scalars(select(AccessRequest.id)).all() == []


@pytest.mark.parametrize("setting", ["require_omniadmin", "require_customer"])
def test_s33_the_operators_minimum_holds_everywhere(build: Build, setting: str) -> None:
    """An instance that asks nobody is asked for all the same."""
    world = build(**{setting: True})
    world.omniadmin()
    world.instance("acme")
    ada = world.signed_in()
    ada.get(f"{CONSOLE}/logout")
    sent = {"reason": REASON, "duration": "3600"}
    assert ada.post(f"{CONSOLE}/instances/acme/request-access", sent).status_code == 409
    db.session.rollback()
    assert db.session.scalars(select(AccessRequest.id)).all() == []


@pytest.mark.parametrize(
    ("spelt", "stored"),
    [
        ("Ada@Operator.EXAMPLE", "ada@operator.example"),
        ("  ADA@operator.example\n", "ada@operator.example"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_s33_one_address_has_one_spelling(spelt: str, stored: str) -> None:
    """So that nobody is two people by capitals or by an alphabet."""
    assert normalised_email(spelt) == stored
