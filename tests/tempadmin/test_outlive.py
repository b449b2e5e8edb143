"""S53, S54: the record names the real person, and outlives the account, the user and the instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text

from instances import directory, inviting
from instances.models import VirtualInstance
from tempadmin.accounts import login
from tempadmin.accounts.models import ADMINISTRATOR, LoginSession, User
from tempadmin.audit.models import AuditEvent
from tempadmin.audit.queries import instance_ids, verify
from tempadmin.cli import build as build_command
from tempadmin.db import db, transaction
from tempadmin.runtime import current_runtime
from tempadmin.web.guard import allow
from tests.browser import Browser
from tests.world import CONSOLE, KEYS, PASSWORD, World

ACME = "http://acme.localhost:8000"
OF_USER = ("recovery_codes", "second_factors", "invitations")


@pytest.fixture
def history(world: World, acme: VirtualInstance) -> World:
    """Ada was inside Acme, changed something, and left; Ben looks at it later."""
    world.omniadmin("ben@operator.example", "Ben Ito")
    world.administrator(acme, "boss@acme.example")
    ada = world.signed_in()
    world.enter(ada)
    ada.get(ACME + "/settings")
    assert ada.post(ACME + "/settings", {"name": "Acme & Sons", "time_zone": ""}).status_code == 303
    ada.get(ACME + "/users")
    ada.post(ACME + "/support-session/leave", follow=True)
    return world


def record() -> list[dict[str, Any]]:
    """Every event, all columns."""
    db.session.rollback()
    rows = db.session.execute(select(AuditEvent.__table__).order_by(AuditEvent.id)).mappings()
    return [dict(row) for row in rows]


def delete_user(user_id: int) -> None:
    """No use case deletes people; a database administrator can."""
    with transaction() as session:
        for table in OF_USER:
            session.execute(text(f"DELETE FROM {table} WHERE user_id = :id"), {"id": user_id})
        session.execute(text("DELETE FROM users WHERE id = :id"), {"id": user_id})


def assert_the_record_stands(world: World, before: list[dict[str, Any]]) -> None:
    """Same events, same words, chains that hold, and pages and commands that still show them."""
    assert record()[: len(before)] == before
    for instance_id in instance_ids():
        assert list(verify(instance_id=instance_id, runtime=world.runtime)) == []
    ben = world.signed_in("ben@operator.example")
    assert ben.get(CONSOLE + "/audit?q=access.entered").status_code == 200
    assert "Ada Brandt" in ben.text
    assert "Acme" in ben.get(CONSOLE + "/audit/export.csv").get_data(as_text=True)
    public_id = world.newest_request().public_id
    assert ben.get(f"{CONSOLE}/access/{public_id}").status_code == 200
    assert "Ada Brandt" in ben.text
    assert "Acme Logistics" in ben.text


def test_s54_the_record_outlives_the_temporary_account(history: World) -> None:
    """The account is gone since the logout; what was done through it stands under the real name."""
    db.session.rollback()
    assert db.session.scalars(select(User.id).where(User.kind == "temporary")).all() == []
    done = [row for row in record() if row["event"] == "instance.changed"]
    assert [(row["actor_name"], row["request_id"]) for row in done] == [("Ada Brandt", history.newest_request().id)]
    assert_the_record_stands(history, record())


def test_s54_the_record_outlives_the_person(history: World) -> None:
    """Neither a foreign key nor a cascade takes an event along; the person's sessions do go."""
    before = record()
    ada = db.session.scalars(select(User.id).where(User.email == "ada@operator.example")).one()
    delete_user(ada)
    assert db.session.scalars(select(LoginSession.id).where(LoginSession.user_id == ada)).all() == []
    assert_the_record_stands(history, before)


def test_s54_the_record_outlives_the_instance(history: World, acme: VirtualInstance) -> None:
    """Its chain stays under its number, and verifies without it."""
    before, acme_id = record(), acme.id
    for user_id in db.session.scalars(select(User.id).where(User.instance_id == acme_id)).all():
        delete_user(user_id)
    with transaction() as session:
        session.execute(text("DELETE FROM virtual_instances WHERE id = :id"), {"id": acme_id})
    assert_the_record_stands(history, before)
    settings = history.runtime.settings
    environment = {
        "TEMPADMIN_BASE_URL": CONSOLE,
        "TEMPADMIN_SECRET_KEYS": KEYS[0],
        "TEMPADMIN_DATABASE_URL": settings.database,
    }
    command = ["audit", "verify", "--data", str(settings.data)]
    told = CliRunner(env=environment).invoke(build_command(command), command)
    assert told.exit_code == 0, told.output


def test_s53_every_session_and_event_names_the_real_person(history: World) -> None:
    """A session's actor is who sits there; an event's is never the account that they act through."""
    ben = history.signed_in("ben@operator.example")
    history.enter(ben)
    db.session.rollback()
    rows = list(db.session.scalars(select(LoginSession)))
    real = {user.id: user.full_name for user in db.session.scalars(select(User).where(User.kind == "regular"))}
    assert {row.is_support for row in rows} == {True, False}
    assert all(real.get(row.actor_id) == row.actor_name for row in rows)
    assert all(row.user_id == row.actor_id for row in rows if not row.is_support)
    events = list(db.session.scalars(select(AuditEvent)))
    people = [event for event in events if event.actor_id is not None]
    assert all(real.get(event.actor_id or 0) == event.actor_name for event in people)
    assert {event.actor_name for event in events} - set(real.values()) == {"tempadmin"}


@pytest.fixture
def failing(world: World) -> Callable[[], Browser]:
    """A view that does its work, and then breaks; the browser of somebody in a support session."""

    @allow(ADMINISTRATOR, place="customer", support=True)
    def breaks() -> str:
        session = login.acting_session()
        assert session is not None
        acting = directory.Acting(
            user_id=session.user_id,
            instance_id=session.instance_id,
            actor=login.actor(),
            request_id=session.access_request_id,
        )
        invited = {"email": "kai@acme.example", "full_name": "Kai Berg", "role": "member"}
        inviting.invite(acting=acting, runtime=current_runtime(), **invited)
        raise LookupError("the view broke")

    world.app.add_url_rule("/breaks", "breaks", breaks, methods=["POST"])

    def enter() -> Browser:
        world.omniadmin()
        world.instance("acme", "Acme Logistics")
        ada = world.signed_in()
        world.enter(ada)
        return ada

    return enter


def test_s53_a_view_that_breaks_leaves_its_event(world: World, failing: Callable[[], Browser]) -> None:
    """What a use case did is on record under the real name, although the page answered 500."""
    ada = failing()
    ada.get(ACME + "/users")
    assert ada.post(ACME + "/breaks").status_code == 500
    last = record()[-1]
    assert (last["event"], last["actor_name"]) == ("user.invited", "Ada Brandt")
    assert last["request_id"] == world.newest_request().id
    assert ada.get(ACME + "/users").status_code == 200


def test_s53_a_refused_code_leaves_its_event(world: World, acme: VirtualInstance) -> None:
    """A denial is committed before it is raised: at the sign-in, and at the confirmation."""
    ada = world.signed_in()
    world.ask(ada, "acme")
    link = world.confirmation_link()
    ada.get(link)
    wrong = f"{(int(world.code()) + 1) % 1_000_000:06}"
    assert ada.post(link, {"code": wrong}).status_code == 400
    guess = world.browser()
    guess.get("/login")
    guess.post("/login", {"email": "ada@operator.example", "password": PASSWORD}, follow=True)
    assert guess.post("/login/verify", {"code": wrong}).status_code == 400
    told = [(row["event"], row["actor_name"]) for row in record()[-2:]]
    assert told == [("access.wrong_code", "Ada Brandt"), ("session.wrong_code", "Ada Brandt")]
