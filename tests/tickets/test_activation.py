"""Accounts elsewhere are let in after the redemption, whatever their directory does, and with which words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from instances.connectors import patience
from instances.connectors.base import Account, ConnectorError, Entry
from instances.connectors.drill import Fault, set_fault
from tempadmin.audit.log import SERVICE
from tests.conftest import Build
from tests.tickets.asked import change
from tests.tickets.evidence import events, faults
from tests.tickets.scenes import Scene, bring
from tests.tickets.vault import Vault, is_open, put_in, raising, scene_with
from tests.world import World
from tickets.activation import activate_due
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.states import EndReason, State


@pytest.fixture
def vault(world: World) -> Vault:
    return put_in(world)


@pytest.fixture
def scene(world: World, vault: Vault) -> Scene:
    """A request that waits for its one-time link to be opened."""
    scene = scene_with(world, vault)
    bring(world, scene, State.READY)
    return scene


def opened(world: World, scene: Scene) -> AccessRequest:
    """The request after its one-time link was opened in a browser."""
    browser = scene.browser(world)
    assert browser.get(scene.link, follow=True).status_code == 200, browser.trail
    return world.request(scene.request_id)


def test_p1_an_account_elsewhere_is_shut_until_the_link_is_opened(world: World, scene: Scene, vault: Vault) -> None:
    """Made, empowered, and of no use to anybody before; let in, until the access ends, in the request that redeems."""
    before = world.request(scene.request_id)
    assert (is_open(world, before.account_name), vault.passwords, before.sealed_credential) == (False, {}, None)
    request = opened(world, scene)
    assert request.state == State.ACTIVE
    assert is_open(world, request.account_name)
    assert vault.ends == {request.account_name: request.ends_at}
    assert (request.activated_at, request.next_attempt_at) == (world.clock.now(), None)
    assert (request.attempt_deadline, request.last_error) == (None, None)
    assert events(request.id)[-2:] == ["access.entered", "access.activated"]
    assert faults(world) == []


@pytest.mark.only_sqlite
@pytest.mark.parametrize("fault", [Fault.REFUSES, Fault.HANGS, Fault.DIES_HALF_WAY, Fault.TIMES_OUT])
def test_p11_what_fails_is_tried_again_with_growing_pauses(
    world: World, scene: Scene, vault: Vault, fault: Fault
) -> None:
    """The answer to the redemption is not spoiled; the access stands, and the job goes on until the directory heals."""
    set_fault(scene.instance_id, fault, until=world.clock.now() + timedelta(minutes=20))
    request = opened(world, scene)
    assert (request.state, request.activated_at) == (State.ACTIVE, None)
    assert request.last_error is not None
    tries = []
    while not (request := world.request(scene.request_id)).activated_at:
        assert request.next_attempt_at is not None
        pause = request.next_attempt_at - world.clock.now()
        world.clock.advance(seconds=pause.total_seconds())
        activate_due(world.runtime)
        tries.append(pause)
    assert tries[0] < timedelta(seconds=7)
    assert max(tries) > timedelta(seconds=60)
    assert max(tries) <= timedelta(seconds=150)
    assert is_open(world, request.account_name)
    assert events(request.id).count("access.activation_failed") == 1  # the same again is no news


@pytest.mark.only_sqlite
def test_whoever_waits_for_the_answer_waits_five_seconds_at_most(world: World, scene: Scene, vault: Vault) -> None:
    """In the redeeming request every call has that together; the job, where nobody waits, takes the time it needs."""
    left: list[float | None] = []

    def fail(_account: Account) -> None:
        left.append(patience.seconds_left())
        raise ConnectorError("it is down")

    vault.before["enable"] = fail
    opened(world, scene)
    world.clock.advance(seconds=30)
    vault.before["enable"] = fail
    activate_due(world.runtime)
    assert left[0] is not None
    assert 0 < left[0] <= 5
    assert left[1] is None


@pytest.mark.only_sqlite
def test_a_permanent_error_is_said_and_the_access_stays(world: World, scene: Scene, vault: Vault) -> None:
    """No job tries in vain; the page says why, Try again works once somebody has mended it; it ends as any other."""
    vault.before["enable"] = raising(ConnectorError("the group admins does not exist", permanent=True))
    request = opened(world, scene)
    assert (request.state, request.activated_at, request.next_attempt_at) == (State.ACTIVE, None, None)
    world.clock.advance(minutes=10)
    assert activate_due(world.runtime) == "0 let in"
    browser = scene.browser(world)
    assert "the group admins does not exist" in browser.text
    end_access(request_id=request.id, reason=EndReason.ENDED_BY_REQUESTER, actor=scene.actor, runtime=world.runtime)
    assert world.request(scene.request_id).state == State.ENDED


@pytest.mark.only_sqlite
def test_p12_a_librarys_own_words_are_not_passed_on(capfd: pytest.CaptureFixture[str], build: Build) -> None:
    """An exception that quotes the password reaches neither the row, nor the record, nor a log."""
    world = build()
    vault = put_in(world)
    scene = scene_with(world, vault)
    bring(world, scene, State.READY)
    quoted = []

    def fail(account: Account) -> None:
        quoted.append(vault.passwords[account.name])
        raise ValueError(f"cannot set {quoted[0]}")

    vault.before["enable"] = lambda account: vault.before.update(enable=fail)
    set_fault(scene.instance_id, Fault.DOES_IT_AND_ERRS, until=world.clock.now() + timedelta(seconds=1))
    opened(world, scene)
    world.clock.advance(seconds=30)
    activate_due(world.runtime)
    request = world.request(scene.request_id)
    assert quoted
    assert request.last_error == "ValueError"
    said = "".join(capfd.readouterr())
    assert "[password]" in said
    assert quoted[0] not in said


@pytest.mark.only_sqlite
def test_a_connector_that_quotes_the_password_is_masked(world: World, scene: Scene, vault: Vault) -> None:
    """Whatever a connector's error holds, the row and the page show it without the password."""

    def fail(account: Account) -> None:
        vault.before["enable"] = again

    def again(account: Account) -> None:
        raise ConnectorError(f"no such password: {vault.passwords[account.name]}")

    vault.before["enable"] = fail
    set_fault(scene.instance_id, Fault.DOES_IT_AND_ERRS, until=world.clock.now() + timedelta(seconds=1))
    opened(world, scene)
    world.clock.advance(seconds=30)
    activate_due(world.runtime)
    assert world.request(scene.request_id).last_error == "no such password: [password]"


def test_p1_an_ended_request_keeps_no_password(world: World, scene: Scene, vault: Vault) -> None:
    """The very transaction that ends it erases it; nothing there or here lets anybody in."""
    request = opened(world, scene)
    assert request.sealed_credential is not None
    assert vault.passwords[request.account_name or ""] not in request.sealed_credential
    end_access(request_id=request.id, reason=EndReason.LOGOUT, actor=SERVICE, runtime=world.runtime)
    request = world.request(scene.request_id)
    assert (request.state, request.sealed_credential) == (State.ENDED, None)
    assert not is_open(world, request.account_name)
    assert [step for step in vault.steps if step != "made_by"] == ["enable", "disable", "delete"]


@pytest.mark.only_sqlite
def test_s15_a_password_that_was_tampered_with_lets_nobody_in(world: World, scene: Scene, vault: Vault) -> None:
    """Sealed for one request: another's is noise, and that is said."""
    set_fault(scene.instance_id, Fault.REFUSES, until=world.clock.now() + timedelta(seconds=1))
    request = opened(world, scene)
    change(AccessRequest, request.id, sealed_credential="AAAA")
    world.clock.advance(seconds=30)
    activate_due(world.runtime)
    request = world.request(scene.request_id)
    assert (request.activated_at, request.next_attempt_at) == (None, None)
    assert "cannot be opened" in (request.last_error or "")
    assert not is_open(world, request.account_name)


@pytest.mark.only_sqlite
def test_no_password_is_made_where_none_is_wanted(world: World) -> None:
    """An account that is entered by OpenID Connect, or in our own pages, is let in without one."""
    for entry in (Entry.OIDC, Entry.PANEL):
        vault = put_in(world, entry)
        scene = scene_with(world, vault)
        bring(world, scene, State.READY)
        request = opened(world, scene)
        assert request.entry == entry
        assert is_open(world, request.account_name)
        assert (vault.passwords, request.sealed_credential) == ({}, None)


@pytest.mark.only_sqlite
def test_where_one_hangs_the_others_go_on(world: World, scene: Scene, vault: Vault) -> None:
    """The job asks a directory that failed no more in this run; another's account is let in all the same."""
    bad, other = scene, scene_with(world, vault)
    bring(world, other, State.READY)
    for one in (bad, other):
        set_fault(one.instance_id, Fault.REFUSES, until=world.clock.now() + timedelta(seconds=1))
        opened(world, one)
    world.clock.advance(seconds=30)
    set_fault(bad.instance_id, Fault.HANGS, until=world.clock.now() + timedelta(days=1))
    assert activate_due(world.runtime) == "1 let in"
    assert world.request(other.request_id).activated_at is not None
