"""`tempadmin instance client`: what is registered of a product, what is refused, and what is shown once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.audit.models import AuditEvent
from tempadmin.cli import build as build_command
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid, NotFound
from tests.conftest import Build
from tests.provider.product import AFTER, BACK, PRODUCT, connected, registered_at
from tests.tempadmin.stage import everything
from tests.tickets.scenes import new_scene
from tests.world import CONSOLE, KEYS, World
from tickets.end import end_access
from tickets.provider import register
from tickets.provider.models import OidcClient
from tickets.states import EndReason

pytestmark = pytest.mark.only_sqlite

Run = Callable[..., Result]


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command on the world's database."""
    monkeypatch.setenv("TEMPADMIN_BASE_URL", CONSOLE)
    monkeypatch.setenv("TEMPADMIN_SECRET_KEYS", KEYS[0])
    data = str(world.runtime.settings.data)

    def call(*sent: str) -> Result:
        db.session.remove()
        words = [*sent, "--data", data]
        return CliRunner().invoke(build_command(words), words)

    yield call
    db.session.remove()


@pytest.fixture
def acme(world: World) -> VirtualInstance:
    return world.instance("acme", "Acme Logistics")


WANTED = ("--login-uri", f"{PRODUCT}/start", "--redirect-uri", BACK)


def test_a_client_is_registered_shown_changed_and_removed(run: Run, acme: VirtualInstance, world: World) -> None:
    """The secret is printed once; what is not given stays; everything stands in the record, the secret does not."""
    made = run("instance", "client", "acme", *WANTED, "--group", "admins", "--group", "ops", "--json")
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert told["issuer"] == "http://acme.localhost:8000"
    assert (told["redirect_uris"], told["groups"]) == ([BACK], ["admins", "ops"])
    secret = told.pop("client_secret")
    assert len(secret) >= 43
    assert json.loads(run("instance", "client", "acme", "--show", "--json").stdout) == told
    changed = run("instance", "client", "acme", "--post-logout-redirect-uri", AFTER, "--json")
    assert json.loads(changed.stdout) == {**told, "post_logout_redirect_uris": [AFTER]}
    plain = run("instance", "client", "acme", "--new-secret")
    assert told["client_id"] in plain.stdout
    assert "client_secret" in plain.stdout
    assert secret not in plain.output
    assert "shown this once" in plain.stderr
    removed = run("instance", "client", "acme", "--remove")
    assert (removed.exit_code, removed.stdout) == (0, "Acme Logistics has no OpenID client any more.\n")
    gone = run("instance", "client", "acme", "--show")
    assert (gone.exit_code, gone.stderr) == (1, "error: No product is registered for Acme Logistics.\n")
    db.session.rollback()
    record = [event for event in db.session.scalars(select(AuditEvent)) if event.event.startswith("oidc.client")]
    assert [event.event for event in record] == [
        "oidc.client_registered", "oidc.client_changed", "oidc.client_changed", "oidc.client_removed",
    ]  # fmt: skip
    assert secret not in str([event.details for event in record])


def test_a_new_secret_makes_the_old_one_worthless(world: World) -> None:
    """From the commit on, at the token endpoint too."""
    product = connected(world)
    new = register.register(
        instance_id=product.scene.instance_id,
        product=register.Product(),
        actor=SERVICE,
        runtime=world.runtime,
        new_secret_too=True,
    )
    assert new.client_id == product.client_id
    assert product.exchange(product.code()).status_code == 401
    product.secret = new.client_secret or ""
    assert product.exchange(product.code()).status_code == 200


BAD = {
    "no address": "",
    "a word": "callback",
    "no host": "https:///callback",
    "another scheme": "ftp://product.example/",
    "a script": "javascript:alert(1)",
    "data": "data:text/html,x",
    "an app": "com.example.app:/callback",
    "plain http": "http://product.example/callback",
    "plain http that looks local": "http://localhost.evil.example/",
    "a fragment": "https://product.example/callback#x",
    "an empty fragment": "https://product.example/callback#",
    "a wildcard": "https://*.product.example/callback",
    "a name": "https://product@evil.example/",
    "a space": "https://product.example/a b",
    "a backslash": "https://product.example\\@evil.example/",
    "a line break": "https://product.example/\r\nX: y",
    "no ASCII": "https://prodüct.example/",
    "a bad port": "https://product.example:99999/",
    "too long": "https://product.example/" + "a" * 500,
}


@pytest.mark.parametrize("field", ["login_uri", "redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri"])
def test_an_address_that_leads_astray_is_named_and_nothing_is_saved(world: World, field: str) -> None:
    """Each is refused in words; several are taken or none."""
    scene = new_scene(world)
    before = everything(world)
    for what, address in BAD.items():
        if address == "" and field.endswith("uri"):
            continue
        with pytest.raises(Invalid) as caught:
            registered_at(world, scene, **{field: address if field.endswith("uri") else (BACK, address)})
        assert (what, caught.value.field) == (what, field)
        assert caught.value.message.startswith(f"{field}: ")
    assert everything(world) == before


def test_other_nonsense_is_refused_too(world: World) -> None:
    """Half a registration, too many addresses, groups that are none, certificates that are none, no such instance."""
    scene = new_scene(world)
    before = everything(world)
    for changes in (
        {"login_uri": None}, {"redirect_uris": ()}, {"redirect_uris": tuple(f"{PRODUCT}/{n}" for n in range(21))},
        {"groups": ("a\nb",)}, {"groups": ("",)}, {"groups": ("g" * 201,)}, {"ca_file": "no certificate"},
    ):  # fmt: skip
        with pytest.raises(Invalid):
            registered_at(world, scene, **changes)
    for instance_id in (world.default_instance().id, 999_999):
        with pytest.raises(NotFound):
            register.register(
                instance_id=instance_id,
                product=register.Product(login_uri=PRODUCT, redirect_uris=(BACK,)),
                actor=SERVICE,
                runtime=world.runtime,
            )
    changed = {name for name, rows in everything(world).items() if rows != before[name]}
    assert changed <= {"oidc_keys"}


def test_a_client_through_which_somebody_is_inside_stays(world: World) -> None:
    """Its removal is refused until the last access is over, and has been told."""
    product = connected(world)
    with pytest.raises(Conflict, match="1 accesses are entered"):
        register.remove(instance_id=product.scene.instance_id, actor=SERVICE, runtime=world.runtime)
    end_access(
        request_id=product.scene.request_id,
        reason=EndReason.ENDED_BY_CUSTOMER,
        actor=product.scene.actor,
        runtime=world.runtime,
    )
    register.remove(instance_id=product.scene.instance_id, actor=SERVICE, runtime=world.runtime)
    db.session.rollback()
    assert db.session.scalars(select(OidcClient)).all() == []
    with pytest.raises(NotFound):
        register.remove(instance_id=product.scene.instance_id, actor=SERVICE, runtime=world.runtime)


def test_p12_no_secret_of_a_login_reaches_a_log(
    build: Build, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Code, verifier, client's secret, tokens: logins, refused ones and logouts, at the libraries' lowest level."""
    caplog.set_level(logging.DEBUG)
    product = connected(build())  # here, so that it logs to what is captured now
    code = product.code()
    given = product.exchange(code).json()
    product.exchange(code)
    product.userinfo(given["access_token"])
    product.browser().get(f"{product.issuer}/oidc/logout?id_token_hint={given['id_token']}")
    written = "".join(capfd.readouterr()) + caplog.text
    assert "/oidc/token" in written
    for secret in (code, product.verifier, product.secret, given["access_token"], given["id_token"]):
        assert secret not in written
