"""Inviting people: the mail, the mark of a support session, and whom nobody may pretend to be."""

from __future__ import annotations

import dataclasses
import json

import pytest
from sqlalchemy import func, select

from instances import directory
from instances.directory import Acting
from tempadmin.accounts.models import Invitation, User
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid
from tests.instances.conftest import invite, last_event
from tests.world import World, link_in

BIRCH = "http://birch-health.localhost:8000"


def test_an_invited_person_gets_a_mail_and_chooses_a_password(world: World, as_maria: Acting) -> None:
    """The mail says who wants what where, its link opens the account, and the account signs in."""
    user_id = invite(world, as_maria, email=" Anna@BIRCH.example ", full_name="Anna  Berg")
    (mail,) = world.mails()
    assert mail.startswith("Subject: Maria Lund invites you to Birch Health\n")
    assert "3 days" in mail
    assert "did not expect this" in mail
    anna = world.browser(BIRCH)
    link = link_in(mail)
    assert link.startswith(BIRCH + "/welcome?key=")
    anna.get(link)
    password = "a long and quiet sentence"
    assert anna.post(link, {"password": password, "password_again": password}).status_code == 200
    anna.get("/login")
    anna.post("/login", {"email": "anna@birch.example", "password": password}, follow=True)
    assert anna.get("/").status_code == 200
    user = db.session.get_one(User, user_id)
    assert (user.email, user.full_name, user.role, user.made_in_request_id) == (
        "anna@birch.example",
        "Anna Berg",
        "member",
        None,
    )


def test_an_invitation_is_recorded_with_the_real_person(world: World, as_maria: Acting) -> None:
    """The instance's own chain names who invited whom, and never the link."""
    user_id = invite(world, as_maria)
    event = last_event(as_maria.instance_id)
    assert (event.event, event.actor_name, event.request_id) == ("user.invited", "Maria Lund", None)
    assert json.loads(event.details) == {"user_id": user_id, "email": "anna@birch.example", "role": "member"}


def test_s25_who_is_invited_in_a_support_session_is_marked(world: World, in_support: Acting) -> None:
    """Account and event carry the access request, and the mail names the real person's instance."""
    user_id = invite(world, in_support, role="administrator")
    assert db.session.get_one(User, user_id).made_in_request_id == 77
    assert last_event(in_support.instance_id).request_id == 77


def test_one_address_has_one_account_on_an_instance(world: World, as_maria: Acting, per: User) -> None:
    """Another spelling of the same address is the same person; another instance has its own accounts."""
    with pytest.raises(Conflict, match="has an account here already"):
        invite(world, as_maria, email=per.email.upper())
    oak = world.instance("oak")
    elsewhere = dataclasses.replace(as_maria, instance_id=oak.id)
    assert invite(world, elsewhere, email=per.email)


@pytest.mark.parametrize(
    "values",
    [
        {"email": "liferay_online_1_2@birch.example"},
        {"email": "LIFERAY_ONLINE_9@birch.example"},
        {"email": "anna@liferayonline.com"},
        {"email": "anna@LiferayOnline.com"},
        {"email": "anna@mail.liferayonline.com"},
        {"full_name": "liferay_online_1_2"},
        {"full_name": "ｌiferay_online_1_2"},
    ],
)
def test_p7_nobody_is_invited_under_a_reserved_name(world: World, as_maria: Acting, values: dict[str, str]) -> None:
    """The reserved prefix and mail domain are refused in every spelling, and nothing is kept."""
    before = db.session.scalar(select(func.count()).select_from(User))
    with pytest.raises(Invalid, match="reserved"):
        invite(world, as_maria, **values)
    assert db.session.scalar(select(func.count()).select_from(User)) == before
    assert world.mails() == []


def test_the_mail_of_a_deactivated_person_leads_nowhere(world: World, as_maria: Acting) -> None:
    """An invitation that was taken back opens nothing; a new mail is not sent either."""
    user_id = invite(world, as_maria)
    link = link_in(world.mails()[-1])
    directory.deactivate(acting=as_maria, user_id=user_id, runtime=world.runtime)
    assert world.browser(BIRCH).get(link).status_code == 410
    assert db.session.scalar(select(func.count()).select_from(Invitation)) == 1
