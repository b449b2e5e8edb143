"""What has to be told of a SCIM server: each wrong setting is named, and the secret ones are never repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instances.connectors.scim.settings import ScimSettings
from instances.connectors.settings import WrongSettings, checked, is_place, split
from tests.instances.products import certificate

SECRET = "r4t-h5n-s3cr3t"
BY_TOKEN: dict[str, Any] = {
    "url": "https://product.example/scim/v2/",
    "token": SECRET,
    "administrator_group": "Administrators",
}
BY_CLIENT: dict[str, Any] = {
    "url": "https://product.example/scim/v2",
    "token_url": "https://login.product.example/token",
    "client_id": "tempadmin",
    "client_secret": SECRET,
    "administrator_role": "admin",
}


def test_either_way_to_prove_who_we_are_is_taken(tmp_path: Path) -> None:
    """A token or client credentials, a group or a role; what a form leaves empty is not given."""
    _context, pem = certificate(tmp_path, "product.example")
    by_token = checked(ScimSettings, {**BY_TOKEN, "scope": "", "client_id": " ", "client_secret": "", "ca_file": pem})
    assert (by_token.url, by_token.secret_setting) == ("https://product.example/scim/v2", "token")
    assert by_token.marker_attribute == "externalId"
    by_client = checked(ScimSettings, {**BY_CLIENT, "scope": "scim.write", "marker_attribute": "title"})
    assert (by_client.secrets(), by_client.secret_setting) == ([SECRET], "client_secret")


@pytest.mark.parametrize(
    ("given", "name", "words"),
    [
        ({**BY_TOKEN, "url": ""}, "url", "valid string"),
        ({**BY_TOKEN, "url": "product.example/scim"}, "url", "https://"),
        ({**BY_TOKEN, "url": "http://product.example/scim"}, "url", "only https"),
        ({**BY_TOKEN, "url": "https://me:pw@product.example/"}, "url", "no name or password"),
        ({**BY_TOKEN, "url": "https://product.example/scim?tenant=7"}, "url", "without ? and #"),
        ({**BY_TOKEN, "url": "https://product.example:99999/"}, "url", "no web address"),
        ({**BY_TOKEN, "token": "two words"}, "token", "blank"),
        ({**BY_TOKEN, "token": "gr\u00fcn"}, "token", "cannot be sent"),
        ({**BY_TOKEN, "token": None}, "token", "give the token, or"),
        ({**BY_TOKEN, **BY_CLIENT, "administrator_role": None}, "token", "not both"),
        ({**BY_TOKEN, "scope": "x"}, "scope", "already has"),
        ({**BY_CLIENT, "client_secret": None}, "client_secret", "give the token, or"),
        ({**BY_CLIENT, "client_id": None}, "client_id", "give the token, or"),
        ({**BY_CLIENT, "token_url": "ftp://login.example"}, "token_url", "https://"),
        ({**BY_CLIENT, "administrator_role": None}, "administrator_group", "give the administrators' group, or"),
        ({**BY_CLIENT, "administrator_group": "x"}, "administrator_group", "give the administrators' group, or"),
        ({**BY_TOKEN, "marker_attribute": "emails"}, "marker_attribute", "externalId"),
        ({**BY_TOKEN, "ca_file": "-----BEGIN CERTIFICATE-----\nnone\n"}, "ca_file", "PEM"),
        ({**BY_TOKEN, "verify": "false"}, "verify", "no such setting"),
    ],
)
def test_p12_each_wrong_setting_is_named_and_no_secret_repeated(given: dict[str, Any], name: str, words: str) -> None:
    """Also that nobody can turn the verification of certificates off: there is no such setting."""
    with pytest.raises(WrongSettings) as refused:
        checked(ScimSettings, given)
    assert set(refused.value.problems) == {name}
    assert words in refused.value.problems[name]
    assert SECRET not in str(refused.value)


def test_s15_secrets_are_kept_apart_and_the_address_is_the_place() -> None:
    """What is stored in the clear holds neither the token nor the client's secret; the address cannot just change."""
    for given in (BY_TOKEN, BY_CLIENT):
        plain, secrets = split(checked(ScimSettings, given))
        assert SECRET not in str(plain)
        assert list(secrets.values()) == [SECRET]
        assert checked(ScimSettings, plain | secrets) == checked(ScimSettings, given)
    places = [name for name in ScimSettings.model_fields if is_place(ScimSettings, name)]
    assert places == ["url", "marker_attribute"]  # without its marker no account is proven ours any more
    assert all(field.title for field in ScimSettings.model_fields.values())
