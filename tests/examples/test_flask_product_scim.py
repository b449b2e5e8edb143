"""The example's SCIM endpoint: the rules for every storage, the token, and what is not touched from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from scim2_models import ScimProvider
from scim2_server.testing import ScimStorageContract

from examples.flask_product.app import create_app
from examples.flask_product.scim import PROVIDER, ProductStorage
from examples.flask_product.settings import Settings
from examples.flask_product.store import Store

USERS = "/scim/v2/Users"
TOKEN = {"Authorization": "Bearer let-me-provision"}
GIVEN = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "liferay_online_1_2",
    "externalId": "request-1",
    "active": False,
}
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class TestProductStorage(ScimStorageContract):
    supports_root_search = False

    @pytest.fixture
    def provider(self) -> ScimProvider:
        return PROVIDER

    @pytest.fixture
    def storage(self, tmp_path: Path) -> ProductStorage:
        return ProductStorage(Store(str(tmp_path / "product.db"), administrators="administrators"))


for name in dir(ScimStorageContract):
    if any(word in name for word in ("sort", "cursor", "at_the_root")):
        setattr(TestProductStorage, name, None)  # what the example does not announce


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "product.db"), administrators="administrators")
    made.add_person("rosa", display_name="Rosa Vidal", password="a sentence is good", administrator=True)
    return made


@pytest.fixture
def client(store: Store) -> FlaskClient:
    settings = Settings(
        url="http://localhost",
        secret_key="k" * 40,
        database=store.path,
        scim_token="let-me-provision",
        issuer="",
        client_id="",
        client_secret="",
        administrators="administrators",
    )
    return create_app(settings).test_client()


def patch(client: FlaskClient, path: str, **values: object) -> int:
    body = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": values}]}
    return client.patch(path, json=body, headers=TOKEN).status_code


def visitor(client: FlaskClient, store: Store, person: str) -> FlaskClient:
    """A browser that is signed in as a provisioned person."""
    browser = client.application.test_client()
    with browser.session_transaction() as cookie:
        cookie["visit"] = store.open_session(person, expires_at=2e9, really="Ada Brandt")
    return browser


def test_nobody_provisions_without_the_token(client: FlaskClient) -> None:
    """No token, another one, one with other letters behind it, or another scheme: 401, and nothing is made."""
    for header in ("", "Bearer", "Bearer let-me", "Bearer let-me-provision2", "Bearer ü", "Basic let-me-provision"):
        answer = client.post(USERS, json=GIVEN, headers={"Authorization": header})
        assert answer.status_code == 401, header
    assert client.get(USERS, headers=TOKEN).json["totalResults"] == 1  # type: ignore[index]


def test_the_products_own_people_are_seen_and_not_touched(client: FlaskClient, store: Store) -> None:
    """SCIM finds them, so that no name is given twice; to change, delete or regroup one is refused."""
    found = client.get(f'{USERS}?filter=userName eq "rosa"', headers=TOKEN).json
    assert found is not None
    rosa = found["Resources"][0]["id"]
    assert client.delete(f"{USERS}/{rosa}", headers=TOKEN).status_code == 403
    assert patch(client, f"{USERS}/{rosa}", active=False) == 403
    assert client.post(USERS, json={**GIVEN, "userName": "Rosa"}, headers=TOKEN).status_code == 409
    groups = client.get("/scim/v2/Groups", headers=TOKEN).json
    assert groups is not None
    group = f"/scim/v2/Groups/{groups['Resources'][0]['id']}"
    assert patch(client, group, members=[{"value": rosa}]) == 204
    assert "members" not in (client.get(group, headers=TOKEN).json or {})
    assert store.person_with_password("rosa", "a sentence is good") == rosa


def test_rights_by_group_and_the_session_end_with_the_account(client: FlaskClient, store: Store) -> None:
    """Administrator as long as in the group, signed in as long as active, gone when deleted."""
    made = client.post(USERS, json=GIVEN, headers=TOKEN).json
    groups = client.get("/scim/v2/Groups", headers=TOKEN).json
    assert made is not None
    assert groups is not None
    group = f"/scim/v2/Groups/{groups['Resources'][0]['id']}"
    browser = visitor(client, store, made["id"])
    assert "Password" in browser.get("/").text  # inactive accounts are let in by nothing
    assert store.provisioned_person("liferay_online_1_2") is None
    assert patch(client, f"{USERS}/{made['id']}", active=True) == 204
    assert "really Ada Brandt, until" in browser.get("/").text
    assert browser.get("/admin").status_code == 403
    assert patch(client, group, members=[{"value": made["id"]}]) == 204
    assert "rosa" in browser.get("/admin").text
    assert client.delete(f"{USERS}/{made['id']}", headers=TOKEN).status_code == 204
    assert "Password" in browser.get("/").text
    assert client.get(f"{USERS}/{made['id']}", headers=TOKEN).status_code == 404


def test_own_people_sign_in_with_their_password_alone(client: FlaskClient, store: Store) -> None:
    """Right and wrong, with a form that is ours; whoever SCIM made has no password, not even an empty one."""
    client.post(USERS, json={**GIVEN, "active": True}, headers=TOKEN)
    token = client.get("/").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    for name, password in (("rosa", "wrong"), ("nobody", "wrong"), ("liferay_online_1_2", ""), ("rosa", "")):
        form = {"csrf_token": token, "user_name": name, "password": password}
        assert client.post("/sign-in", data=form).status_code == 401, name
    right = {"user_name": "rosa", "password": "a sentence is good"}
    assert client.post("/sign-in", data=right).status_code == 400  # a form of somebody else
    assert client.post("/sign-in", data={**right, "csrf_token": token}).status_code == 302
    assert "liferay_online_1_2" in client.get("/admin").text
    assert store.provisioned_person("rosa") is None
