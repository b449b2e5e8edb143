"""The people of an instance: who may be changed, by whom, and what follows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import select

from instances import directory
from instances.directory import Acting
from instances.models import VirtualInstance
from instances.preferences import change_preferences
from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit import queries as audit_queries
from tempadmin.audit.log import Actor
from tempadmin.db import db
from tempadmin.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from tests.instances.conftest import MakeTemporary, fresh, invite, last_event
from tests.world import World

BIRCH = "http://birch-health.localhost:8000"


def edit(world: World, acting: Acting, user: User, **changes: Any) -> None:
    values: dict[str, Any] = {"full_name": user.full_name, "role": None, **changes}
    directory.edit(acting=acting, user_id=user.id, runtime=world.runtime, **values)


@pytest.mark.parametrize("name", ["liferay_online_1_2", "LIFERAY_ONLINE", "ｌiferay_online_1"])
def test_p7_nobody_is_renamed_to_a_reserved_name(world: World, as_maria: Acting, per: User, name: str) -> None:
    """An edit cannot make a regular account look like a temporary administrator."""
    with pytest.raises(Invalid, match="reserved"):
        edit(world, as_maria, per, full_name=name)
    assert fresh(per).full_name == "Per Holm"


@pytest.mark.parametrize("role", ["omniadmin", "owner", ""])
def test_no_role_but_the_instances_own_is_given_here(world: World, as_maria: Acting, per: User, role: str) -> None:
    """The role omniadmin is never given in a control panel."""
    with pytest.raises(Invalid):
        invite(world, as_maria, role=role)
    with pytest.raises(Invalid):
        edit(world, as_maria, per, role=role)
    assert fresh(per).role == "member"


def every_change(world: World, acting: Acting, user_id: int) -> list[type[DomainError] | None]:
    """Try each change of a person; return what each was refused with."""
    refusals: list[type[DomainError] | None] = []
    runtime = world.runtime
    for change in (
        lambda: directory.edit(acting=acting, user_id=user_id, full_name="X", role=None, runtime=runtime),
        lambda: directory.edit(acting=acting, user_id=user_id, full_name="X", role="administrator", runtime=runtime),
        lambda: directory.deactivate(acting=acting, user_id=user_id, runtime=runtime),
        lambda: directory.activate(acting=acting, user_id=user_id, runtime=runtime),
    ):
        try:
            change()
        except DomainError as error:
            refusals.append(type(error))
        else:
            refusals.append(None)
    return refusals


def test_p6_a_temporary_administrator_is_not_there(
    world: World, as_maria: Acting, birch: VirtualInstance, temporary: MakeTemporary
) -> None:
    """Every use case answers as if there were no such account, and leaves it as it is."""
    account = temporary(birch, active=True)
    assert every_change(world, as_maria, account.id) == [NotFound] * 4
    after = fresh(account)
    assert (after.full_name, after.role, after.active) == ("Ada Brandt", "administrator", True)


def test_p6_a_temporary_administrator_does_not_see_itself(
    world: World, in_support: Acting, birch: VirtualInstance, temporary: MakeTemporary
) -> None:
    """Not even its own support session can edit, deactivate or activate it."""
    account = temporary(birch, active=True)
    assert every_change(world, dataclasses.replace(in_support, user_id=account.id), account.id) == [NotFound] * 4


def test_p6_a_temporary_administrator_is_no_last_administrator(
    world: World, as_maria: Acting, birch: VirtualInstance, maria: User, temporary: MakeTemporary
) -> None:
    """It does not count when an instance must keep an administrator."""
    temporary(birch, active=True)
    with pytest.raises(Conflict, match="last active administrator"):
        edit(world, as_maria, maria, role="member")


def test_s31_people_of_other_instances_do_not_exist(world: World, as_maria: Acting) -> None:
    """Another instance's ids, omniadmins' among them, answer as unknown ones do."""
    oak = world.instance("oak")
    strangers = [world.user(oak, "ann@oak.example"), world.omniadmin()]
    for user_id in (*(one.id for one in strangers), 999_999, 0, -1):
        assert every_change(world, as_maria, user_id) == [NotFound] * 4


@pytest.mark.parametrize("role", ["member", "administrator"])
def test_s25_a_support_session_never_changes_a_role(
    world: World, in_support: Acting, maria: User, per: User, role: str
) -> None:
    """The use case itself refuses, with a sentence; the same role again is no change."""
    world.user(db.session.get_one(VirtualInstance, maria.instance_id), "second@birch.example", role="administrator")
    for user in (maria, per):
        if user.role == role:
            edit(world, in_support, user, role=role)
            continue
        with pytest.raises(Forbidden, match="support session cannot change"):
            edit(world, in_support, user, role=role)
        assert fresh(user).role != role


def test_s25_a_support_session_changes_names_and_who_may_sign_in(world: World, in_support: Acting, per: User) -> None:
    """Of an existing account it may change the full name, deactivate and activate; each with the request's id."""
    address, hashed = per.email, per.password_hash
    edit(world, in_support, per, full_name="Per Holm Jr")
    directory.deactivate(acting=in_support, user_id=per.id, runtime=world.runtime)
    assert not fresh(per).active
    directory.activate(acting=in_support, user_id=per.id, runtime=world.runtime)
    after = fresh(per)
    assert (after.full_name, after.email, after.password_hash, after.active) == ("Per Holm Jr", address, hashed, True)
    found = db.session.scalars(audit_queries.events(instance_id=in_support.instance_id).limit(3))
    assert [(one.event, one.actor_name, one.request_id) for one in found] == [
        ("user.activated", "Ada Brandt", 77),
        ("user.deactivated", "Ada Brandt", 77),
        ("user.edited", "Ada Brandt", 77),
    ]


def test_s25_no_use_case_takes_a_password_an_address_or_a_factor() -> None:
    """What a support session must never set has no way in at all."""
    for change in (directory.edit, directory.activate, directory.deactivate):
        names = set(change.__annotations__) - {"return"}
        assert names <= {"acting", "user_id", "full_name", "role", "runtime"}


def test_s23_a_deactivated_persons_next_request_is_refused(world: World, as_maria: Acting, per: User) -> None:
    """Their sessions end in the same transaction, and signing in again fails."""
    browser = world.signed_in(per.email, BIRCH)
    directory.deactivate(acting=as_maria, user_id=per.id, runtime=world.runtime)
    assert browser.get("/").status_code == 302
    ended = db.session.scalars(select(LoginSession).where(LoginSession.user_id == per.id)).one()
    assert ended.end_reason == "deactivated"
    browser.get("/login")
    browser.post("/login", {"email": per.email, "password": "a sentence is a good password"})
    assert "not right" in browser.text
    directory.activate(acting=as_maria, user_id=per.id, runtime=world.runtime)
    assert world.signed_in(per.email, BIRCH).get("/").status_code == 200


def test_s23_who_loses_the_role_loses_the_session(world: World, as_maria: Acting, per: User) -> None:
    """A new role begins with a new sign-in, in both directions."""
    for role in ("administrator", "member"):
        world.signed_in(per.email, BIRCH)
        db.session.rollback()
        assert sessions.live_ids(user_id=per.id)
        edit(world, as_maria, per, role=role)
        assert sessions.live_ids(user_id=per.id) == []
        assert fresh(per).role == role


def test_a_new_name_ends_no_session(world: World, as_maria: Acting, per: User) -> None:
    """Being renamed is no reason to sign in again."""
    browser = world.signed_in(per.email, BIRCH)
    edit(world, as_maria, per, full_name="Per Lund")
    assert browser.get("/").status_code == 200


def test_nobody_deactivates_themself(world: World, as_maria: Acting, birch: VirtualInstance, maria: User) -> None:
    """Another administrator can; oneself is a slip of the hand."""
    second = world.administrator(birch, "second@birch.example")
    with pytest.raises(Conflict, match="yourself"):
        directory.deactivate(acting=as_maria, user_id=maria.id, runtime=world.runtime)
    directory.deactivate(
        acting=dataclasses.replace(as_maria, user_id=second.id), user_id=maria.id, runtime=world.runtime
    )
    assert not fresh(maria).active


def test_the_last_active_administrator_stays(
    world: World, as_maria: Acting, in_support: Acting, birch: VirtualInstance, maria: User
) -> None:
    """Neither demoted nor deactivated, by whomever; a deactivated administrator is none."""
    second = world.administrator(birch, "second@birch.example")
    directory.deactivate(acting=as_maria, user_id=second.id, runtime=world.runtime)
    with pytest.raises(Conflict, match="Maria Lund is the last active administrator"):
        edit(world, as_maria, maria, role="member")
    with pytest.raises(Conflict, match="last active administrator"):
        directory.deactivate(acting=in_support, user_id=maria.id, runtime=world.runtime)
    directory.activate(acting=as_maria, user_id=second.id, runtime=world.runtime)
    edit(world, as_maria, maria, role="member")
    assert fresh(maria).role == "member"


def test_a_stale_button_is_a_conflict(world: World, as_maria: Acting, per: User) -> None:
    """Who was deactivated, or let in again, a moment ago is not so again, and not recorded twice."""
    with pytest.raises(Conflict, match="active already"):
        directory.activate(acting=as_maria, user_id=per.id, runtime=world.runtime)
    directory.deactivate(acting=as_maria, user_id=per.id, runtime=world.runtime)
    with pytest.raises(Conflict, match="deactivated already"):
        directory.deactivate(acting=as_maria, user_id=per.id, runtime=world.runtime)


def test_omniadmins_are_managed_by_their_own_command(world: World) -> None:
    """Disabling one here would leave their open accesses alive (S23)."""
    ada = world.omniadmin()
    operator = Acting(user_id=None, instance_id=ada.instance_id, actor=Actor(id=None, name="operator"), request_id=None)
    assert every_change(world, operator, ada.id) == [Conflict] * 4
    assert fresh(ada).active


def test_settings_change_name_and_zone_alone(world: World, in_support: Acting, birch: VirtualInstance) -> None:
    """Support sessions too; the support policy has no way in (S25)."""
    change_preferences(acting=in_support, name=" Birch  Clinics ", time_zone="Europe/Oslo", runtime=world.runtime)
    db.session.rollback()
    assert (birch.name, birch.time_zone) == ("Birch Clinics", "Europe/Oslo")
    assert set(change_preferences.__annotations__) == {"acting", "name", "time_zone", "runtime", "return"}
    assert last_event(birch.id).request_id == 77
    for values, field in (({"name": " ", "time_zone": ""}, "name"), ({"name": "B", "time_zone": "Mars"}, "time_zone")):
        with pytest.raises(Invalid) as refused:
            change_preferences(acting=in_support, runtime=world.runtime, **values)
        assert refused.value.field == field
