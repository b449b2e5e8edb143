"""The whole way, as a person walks it: ask, confirm, enter, work, leave, and nothing is left."""

from __future__ import annotations

from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit import queries as audit_queries
from tempadmin.db import db
from tests.world import CONSOLE, World
from tickets.states import State

ACME = "http://acme.localhost:8000"


def test_an_omniadmin_enters_works_leaves_and_nothing_is_left(world: World, acme: VirtualInstance) -> None:
    """The main job, end to end, by pages alone."""
    world.user(acme, "per@acme.example", full_name="Per Holm")
    ada = world.signed_in()
    ada.get("/instances?q=acme")
    assert "Acme Logistics" in ada.text
    assert "Request admin access" in ada.text

    request = world.ask(ada, "acme")
    assert request.state == State.AWAITING_CONFIRMATION
    assert request.account_name == f"liferay_online_{request.requester_id}_{request.subject_id}"
    assert "Confirm that it is you" in ada.text

    link = world.confirm(ada)
    assert link.startswith(ACME + "/login/ticket?key=")
    response = ada.get(link, follow=True)
    assert response.status_code == 200, (ada.trail, ada.text)
    assert ada.url == ACME + "/"
    assert "Log out and delete this account" in ada.text
    assert "Ada Brandt" in ada.text

    ada.get(ACME + "/users")
    assert "Per Holm" in ada.text
    assert "liferay_online" not in ada.text

    ada.post(ACME + "/support-session/leave", follow=True)
    assert ada.url == ACME + "/left"
    db.session.rollback()
    assert db.session.get(User, request.subject_id) is None
    assert db.session.scalar(select(LoginSession.id).where(LoginSession.access_request_id == request.id)) is None
    assert world.request(request.id).state == State.ENDED
    assert ada.get(link).status_code == 410

    ada.get(f"{CONSOLE}/access/{request.public_id}")
    assert "Account deleted" in ada.text
    assert [
        fault
        for one in audit_queries.instance_ids()
        for fault in audit_queries.verify(instance_id=one, runtime=world.runtime)
    ] == []
