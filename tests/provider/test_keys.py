"""Signing keys: sealed, published before they sign, taken back when nothing of theirs is left (RFC 7517)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from tempadmin.audit.log import SERVICE
from tempadmin.audit.models import AuditEvent
from tempadmin.backup.anew import begin_anew
from tempadmin.cli import build as build_command
from tempadmin.db import db, transaction
from tempadmin.doctor.findings import Level
from tempadmin.errors import Conflict
from tempadmin.jobs import jobs
from tempadmin.keys import Unsealable
from tests.conftest import Build
from tests.provider.product import Product, connected, registered_at
from tests.tickets.scenes import bring, new_scene
from tests.world import KEYS, World
from tickets.provider import doctor, keys
from tickets.provider.models import OidcClient, OidcKey, OidcLogin
from tickets.states import State

pytestmark = pytest.mark.only_sqlite


@pytest.fixture
def product(world: World) -> Product:
    return connected(world)


def kids(product: Product) -> list[str]:
    return [key["kid"] for key in product.http.get("/oidc/jwks").json()["keys"]]


def kid_of(product: Product) -> str:
    """The key that signs now."""
    return str(product.verified(product.tokens()["id_token"]).header["kid"])


def run(product: Product) -> str:
    """Have the job run."""
    db.session.rollback()
    return jobs(product.world.app)["oidc-keys"].run(product.world.runtime)


def renewed(product: Product) -> Product:
    """Somebody else is inside by the time."""
    return connected(product.world)


def test_what_is_published_is_the_public_half(product: Product) -> None:
    """RSA of 2048 bits for RS256, and nothing private: not there, and not readable in the database."""
    (key,) = product.http.get("/oidc/jwks").json()["keys"]
    assert set(key) == {"kty", "kid", "use", "alg", "n", "e"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    row = db.session.scalars(select(OidcKey)).one()
    assert '"d"' not in row.sealed_private + row.public
    assert '"d"' in product.world.runtime.keys.unseal("oidc.key", row.sealed_private, owner=row.kid).decode()
    with pytest.raises(Unsealable):
        product.world.runtime.keys.unseal("oidc.key", row.sealed_private, owner="another")


def test_the_next_key_is_known_a_day_before_it_signs(product: Product) -> None:
    """Published at once, silent for a day; the old one stays until the last token that it signed is over."""
    world, (first,) = product.world, kids(product)
    begins = keys.rotate(actor=SERVICE, runtime=world.runtime)
    assert (begins - world.clock.now()).total_seconds() == 86_400
    assert kids(product)[0] == first
    assert len(kids(product)) == 2
    assert kid_of(product) == first
    with pytest.raises(Conflict, match="published already"):
        keys.rotate(actor=SERVICE, runtime=world.runtime)
    world.clock.time = begins.replace(microsecond=0)
    world.clock.advance(seconds=-1)
    late = renewed(product)
    old = late.tokens()["id_token"]
    assert late.verified(old).header["kid"] == first
    world.clock.advance(seconds=1)
    assert kid_of(late) == kids(product)[1]
    assert run(product) == "nothing to do"
    world.clock.advance(hours=1, seconds=-1)
    assert late.verified(old).header["kid"] == first
    world.clock.advance(seconds=120)
    assert run(product) == "1 old keys taken back"
    assert kids(product) == [kid_of(renewed(product))] != [first]


def test_p10_no_key_is_taken_back_while_a_token_of_its_own_lasts(product: Product) -> None:
    """A token that lasts longer than the day between publishing and signing keeps its key."""
    world, (first,) = product.world, kids(product)
    keys.rotate(actor=SERVICE, runtime=world.runtime)
    token = product.tokens()["id_token"]
    ends_at = world.clock.now() + timedelta(days=4)
    with transaction() as session:
        session.scalars(select(OidcLogin)).one().token_expires_at = ends_at
    world.clock.advance(hours=30)
    assert run(product) == "nothing to do"
    assert product.verified(token).header["kid"] == first
    world.clock.time = ends_at
    assert run(product) == "1 old keys taken back"


def test_the_job_renews_the_key_by_itself(product: Product) -> None:
    """After 89 days the next one is published, once; where no product is registered nothing is made."""
    world = product.world
    assert run(product) == "nothing to do"
    world.clock.advance(days=89)
    assert run(product) == "the next key is published"
    assert run(product) == "nothing to do"
    world.clock.advance(days=1, hours=2)
    assert run(product) == "1 old keys taken back"
    told = [event.event for event in db.session.scalars(select(AuditEvent)) if event.event.startswith("oidc.key")]
    assert told == ["oidc.key_published", "oidc.key_taken_back"]


def test_a_key_that_leaked_is_worth_nothing_at_once(product: Product) -> None:
    """`tempadmin oidc rotate --now`: what it signed verifies no more, and no logout believes it."""
    world, token = product.world, product.tokens()["id_token"]
    (first,) = kids(product)
    begins = keys.rotate(actor=SERVICE, runtime=world.runtime, at_once=True)
    assert begins == world.clock.now()
    assert first not in kids(product)
    assert kid_of(product) == kids(product)[0]
    assert product.http.post("/oidc/logout", data={"id_token_hint": token}).status_code == 400


def test_the_command_says_from_when_the_next_key_signs(product: Product) -> None:
    """And refuses, in one line, while the next one waits."""
    data = str(product.world.runtime.settings.data)
    environment = {"TEMPADMIN_BASE_URL": "http://localhost:8000", "TEMPADMIN_SECRET_KEYS": KEYS[0]}
    command = ["oidc", "rotate", "--data", data]
    done = CliRunner(env=environment).invoke(build_command([*command, "--json"]), [*command, "--json"])
    assert done.exit_code == 0, done.output
    assert "signs_from" in done.output
    again = CliRunner(env=environment).invoke(build_command(command), command)
    assert again.exit_code == 1
    assert "published already" in again.output
    assert len(kids(product)) == 2


def test_s15_a_secret_key_that_was_taken_away_signs_nothing(build: Build) -> None:
    """The product hears of a failure of ours, in JSON and without the reason; with the old key behind it, it works."""
    connected(build())
    product = connected(build(secret_keys=("n" * 32,)))
    answer = product.exchange(product.code())
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")
    assert "nseal" not in answer.text
    assert "id_token" in connected(build(secret_keys=("n" * 32, *KEYS))).tokens()


def test_the_doctor_names_what_lets_nobody_in(build: Build) -> None:
    """A key that does not open, a client that cannot be read; each with what to do."""
    runtime = connected(build()).world.runtime
    (fine,) = doctor.look(runtime)
    assert (fine.level, fine.message) == (Level.OK, "1 products are registered; 1 signing keys open")
    (shut,) = doctor.look(build(secret_keys=("n" * 32,)).runtime)
    assert "does not open" in shut.message
    assert "oidc rotate --now" in (shut.advice or "")
    with transaction() as session:
        session.scalars(select(OidcClient)).one().groups = "nonsense"
    (spoiled,) = doctor.look(runtime)
    assert (spoiled.level, "cannot be read" in spoiled.message) == (Level.ERROR, True)


def test_no_key_of_a_backup_signs_after_a_restore(product: Product) -> None:
    """It may have leaked since: what it signed verifies no more, and whoever comes next gets a fresh one."""
    world, old, (first,) = product.world, product.tokens()["id_token"], kids(product)
    begin_anew(actor=SERVICE, runtime=world.runtime)
    assert kids(product) == []
    assert product.http.post("/oidc/logout", data={"id_token_hint": old}).status_code == 400
    scene = new_scene(world)
    later = registered_at(world, scene)
    bring(world, scene, State.ACTIVE)
    assert kid_of(later) == kids(product)[0] != first
