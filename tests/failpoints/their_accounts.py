"""What people do with their own accounts, and the operator with omniadmins', killed at each step."""

from __future__ import annotations

from instances.inviting import invite
from tempadmin.accounts import factors, omniadmins, own_factor, own_sessions, sessions
from tempadmin.accounts.change_password import change_password as change
from tempadmin.accounts.factors import open_new_seed
from tempadmin.accounts.invitations import accept
from tempadmin.accounts.profile import set_time_zone
from tempadmin.accounts.totp import code_at
from tempadmin.db import transaction
from tests.accounts.people import NEW_PASSWORD
from tests.failpoints.stage import Cast, brought, killed
from tests.failpoints.straight_way import told
from tests.world import PASSWORD, SEED, World
from tickets.states import State

INSIDE = brought(State.ACTIVE)


def with_a_factor(world: World) -> Cast:
    """A member who has a second factor, signed in."""
    cast = with_a_member(world)
    with transaction():
        factors.enrol(user_id=cast.held["liam"], seed=SEED, step=0, now=world.clock.now(), runtime=world.runtime)
    return cast


def with_a_member(world: World) -> Cast:
    """A member, signed in twice."""
    cast = brought()(world)
    liam = cast.person("liam")
    cast.held["liam"] = liam.id
    cast.held["sessions"] = [cast.session_of(cast.person("liam")) for _ in range(2)]
    return cast


def with_an_invitation(world: World) -> Cast:
    """Somebody who has been invited."""
    cast = brought()(world)
    address = f"new@{cast.scene.web_id}.example"
    invited = invite(acting=cast.rosa(), email=address, full_name="New", role="member", runtime=world.runtime)
    cast.held["key"] = invited.key
    return cast


@killed(INSIDE)
def signing_in(world: World, cast: Cast) -> None:
    browser = world.browser()
    told(browser.get("/login"), browser)
    told(browser.post("/login", {"email": cast.scene.address, "password": PASSWORD}, follow=True), browser)
    told(browser.post("/login/verify", {"code": world.code()}, follow=True), browser)


@killed(INSIDE)
def signing_out(world: World, cast: Cast) -> None:
    sessions.sign_out(session_id=cast.session_id, runtime=world.runtime)


@killed(INSIDE)
def choosing_another_password(world: World, cast: Cast) -> None:
    change(
        user_id=cast.scene.user_id,
        session_id=cast.session_id,
        present=PASSWORD,
        new=NEW_PASSWORD,
        answer=world.code(),
        runtime=world.runtime,
    )


@killed(with_a_member)
def adding_a_second_factor(world: World, cast: Cast) -> None:
    sealed = own_factor.new_seed(user_id=cast.held["liam"], runtime=world.runtime)
    seed = own_factor.opened_seed(sealed, user_id=cast.held["liam"], runtime=world.runtime)
    own_factor.add_factor(
        user_id=cast.held["liam"],
        session_id=cast.held["sessions"][0],
        password=PASSWORD,
        sealed=sealed,
        code=code_at(seed, world.clock.now()),
        runtime=world.runtime,
    )


@killed(INSIDE)
def changing_the_second_factor(world: World, cast: Cast) -> None:
    sealed = own_factor.new_seed(user_id=cast.scene.user_id, runtime=world.runtime)
    seed = own_factor.opened_seed(sealed, user_id=cast.scene.user_id, runtime=world.runtime)
    own_factor.change_factor(
        user_id=cast.scene.user_id,
        session_id=cast.session_id,
        answer=world.code(),
        sealed=sealed,
        code=code_at(seed, world.clock.now()),
        runtime=world.runtime,
    )


@killed(with_a_factor)
def removing_the_second_factor(world: World, cast: Cast) -> None:
    own_factor.remove_factor(
        user_id=cast.held["liam"],
        session_id=cast.held["sessions"][0],
        answer=world.code(),
        runtime=world.runtime,
    )


@killed(brought())
def making_new_recovery_codes(world: World, cast: Cast) -> None:
    own_factor.new_recovery_codes(
        user_id=cast.scene.user_id, session_id=cast.session_id, answer=world.code(), runtime=world.runtime
    )


@killed(with_a_member)
def ending_another_session(world: World, cast: Cast) -> None:
    here, there = cast.held["sessions"]
    own_sessions.end_session(user_id=cast.held["liam"], session_id=there, acting_id=here, runtime=world.runtime)


@killed(with_a_member)
def ending_all_other_sessions(world: World, cast: Cast) -> None:
    here, _there = cast.held["sessions"]
    own_sessions.end_other_sessions(user_id=cast.held["liam"], acting_id=here, runtime=world.runtime)


@killed(brought())
def choosing_a_time_zone(world: World, cast: Cast) -> None:
    set_time_zone(user_id=cast.scene.user_id, time_zone="Europe/Vienna", runtime=world.runtime)


@killed(with_an_invitation)
def opening_an_account(world: World, cast: Cast) -> None:
    accept(
        key=cast.held["key"],
        instance_id=cast.scene.instance_id,
        password=NEW_PASSWORD,
        code=None,
        seed=None,
        runtime=world.runtime,
    )


@killed(brought())
def making_an_omniadmin(world: World, cast: Cast) -> None:
    omniadmins.create_omniadmin(
        instance_id=world.default_instance().id,
        email=f"new-{cast.scene.address}",
        full_name="New",
        runtime=world.runtime,
    )


@killed(INSIDE)
def disabling_an_omniadmin(world: World, cast: Cast) -> None:
    omniadmins.disable_omniadmin(
        instance_id=world.default_instance().id, email=cast.scene.address, runtime=world.runtime
    )


@killed(brought())
def letting_an_omniadmin_enrol_again(world: World, cast: Cast) -> None:
    home = world.default_instance().id
    key = omniadmins.reset_factor(instance_id=home, email=cast.scene.address, runtime=world.runtime)
    sealed = factors.seal_new_seed(owner="somebody", runtime=world.runtime)
    seed = open_new_seed(sealed, owner="somebody", runtime=world.runtime)
    assert seed is not None
    code = code_at(seed, world.clock.now())
    accept(key=key, instance_id=home, password=PASSWORD, code=code, seed=seed, runtime=world.runtime)
