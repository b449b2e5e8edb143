"""Client credentials (RFC 6749, section 4.4): a token is fetched, kept while it lasts, fetched anew when refused."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs

import pytest

from instances.connectors.base import Account, ConnectorError
from instances.models import VirtualInstance
from tests.instances.conftest import MakeTemporary
from tests.instances.scim_directory import Scimmed, connect
from tests.instances.scim_server import TOKEN, Asked, Said, Serve, html
from tests.world import World

pytestmark = pytest.mark.only_sqlite

SECRET = "s3cr3t/with+signs%20"
FETCHED = "fetched-token-42"


@dataclass
class Issuer:
    """The product's own server of tokens, beside its SCIM server, which then takes its tokens alone."""

    answers: list[Said] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    by_basic: list[str] = field(default_factory=list)
    live: str = ""
    issued: int = 0

    def __call__(self, asked: Asked, serve: Serve) -> Said:
        if asked.path == "/token":
            return self._issue(asked)
        if asked.headers.get("AUTHORIZATION") != f"Bearer {self.live}":
            return html(401)
        return serve(replace(asked, as_token=TOKEN))

    def _issue(self, asked: Asked) -> Said:
        self.forms.append(parse_qs(asked.body.decode()))
        self.by_basic.append(base64.b64decode(asked.headers.get("AUTHORIZATION", "Basic ")[6:]).decode())
        if self.answers:
            return self.answers.pop(0)
        self.issued += 1
        self.live = f"{FETCHED}-{self.issued}"
        return Said(200, json.dumps({"access_token": self.live, "token_type": "Bearer", "expires_in": 600}).encode())


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def scim(world: World, birch: VirtualInstance, temporary: MakeTemporary, issuer: Issuer) -> Scimmed:
    made = Scimmed(world, birch, temporary)
    made.product.manner = issuer
    given = {"token": None, "token_url": f"{made.product.url}/token", "client_id": "tempadmin", "client_secret": SECRET}
    connect(world, birch.id, made.product, **given, scope="scim.write scim.read")
    return made


@pytest.fixture
def account(scim: Scimmed) -> Account:
    return scim.reserve(77)


def test_a_token_is_fetched_once_and_kept_until_shortly_before_its_end(
    world: World, scim: Scimmed, account: Account, issuer: Issuer
) -> None:
    """Some servers bill each token; what it lasts is what its server said, less half a minute."""
    assert not scim.connector.exists(replace(account, user_id=0))
    assert not scim.connector.exists(replace(account, user_id=0))
    assert issuer.forms == [{"grant_type": ["client_credentials"], "scope": ["scim.write scim.read"]}]
    assert issuer.by_basic == [f"tempadmin:{SECRET}"]
    world.clock.advance(seconds=569)
    list(scim.connector.listed(account.instance_id))
    assert issuer.issued == 1
    world.clock.advance(seconds=1)
    list(scim.connector.listed(account.instance_id))
    assert issuer.issued == 2


def test_a_token_that_is_refused_early_is_fetched_anew_once(scim: Scimmed, account: Account, issuer: Issuer) -> None:
    """It was revoked, or its server lost it: one new one is tried, and then it is the secret that is wrong."""
    list(scim.connector.listed(account.instance_id))
    issuer.live = "another"
    list(scim.connector.listed(account.instance_id))
    assert issuer.issued == 2
    issuer.live, issuer.answers = "another", [Said(200, b'{"access_token": "no-good", "expires_in": 600}')]
    with pytest.raises(ConnectorError) as refused:
        list(scim.connector.listed(account.instance_id))
    assert (refused.value.permanent, refused.value.setting) == (True, "client_secret")
    assert len(issuer.forms) == 3


def test_a_server_that_reads_the_form_alone_gets_it_there(scim: Scimmed, account: Account, issuer: Issuer) -> None:
    """RFC 6749, section 2.3.1: the header is what every server must take, and some take the form alone."""
    issuer.answers = [Said(401, b'{"error": "invalid_client"}')]
    list(scim.connector.listed(account.instance_id))
    assert issuer.forms[1]["client_id"] == ["tempadmin"]
    assert issuer.forms[1]["client_secret"] == [SECRET]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Said(401, f'{{"error": "invalid_client", "error_description": "no {SECRET}"}}'.encode()), "client_secret"),
        (Said(400, b'{"error": "unauthorized_client"}'), "client_id"),
        (Said(400, b'{"error": "invalid_scope"}'), "scope"),
        (html(404), "token_url"),
        (html(200), "token_url"),
        (Said(200, b'{"token_type": "Bearer"}'), "token_url"),
        (Said(200, b'{"access_token": "two\\nlines"}'), "token_url"),
        (Said(302, b"", {"Location": "/login"}), "token_url"),
    ],
    ids=lambda value: "",
)
def test_p12_without_a_token_the_setting_is_named_and_no_secret_told(
    scim: Scimmed, account: Account, issuer: Issuer, said: Said, expected: str
) -> None:
    """What the server of tokens said, though it repeats what it was sent."""
    issuer.answers = [said, said]
    with pytest.raises(ConnectorError) as refused:
        list(scim.connector.listed(account.instance_id))
    assert refused.value.setting == expected, refused.value
    assert refused.value.permanent is (400 <= said.status < 500)
    assert SECRET not in str(refused.value)
    assert "/token" in str(refused.value)
