"""An invitation that lapsed or got lost is sent again; neither way floods anybody."""

from __future__ import annotations

from datetime import timedelta

import pytest

from instances import directory, inviting
from instances.directory import Acting
from instances.inviting import MOST_INVITATIONS, MOST_SENT_AGAIN
from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.errors import Conflict, RateLimited
from tests.instances.conftest import invite, last_event
from tests.world import PASSWORD, World, link_in

BIRCH = "http://birch-health.localhost:8000"


def test_a_lapsed_invitation_is_sent_again_from_the_persons_page(
    world: World, maria: User, as_maria: Acting, birch: VirtualInstance
) -> None:
    """The former link is worthless, the new one opens the account, and the button goes."""
    user_id = invite(world, as_maria)
    former = link_in(world.mails()[-1])
    browser = world.signed_in("maria@birch.example", BIRCH)
    browser.get(f"/users/{user_id}")
    assert "Send invitation again" in browser.text
    browser.post(f"/users/{user_id}/invite-again", follow=True)
    assert "A new invitation is on its way" in browser.text
    assert last_event(birch.id).event == "user.invited_again"
    link = link_in(world.mails()[-1])
    guest = world.browser(BIRCH)
    assert guest.get(former).status_code == 410
    assert guest.get(link).status_code == 200
    assert guest.post(link, {"password": PASSWORD, "password_again": PASSWORD}).status_code == 200
    browser.get(f"/users/{user_id}")
    assert "Send invitation again" not in browser.text
    assert browser.post(f"/users/{user_id}/invite-again").status_code == 409


def test_nobody_is_invited_again_who_cannot_use_it(world: World, as_maria: Acting, per: User) -> None:
    """Who chose a password, and who is deactivated, gets no link that would open the account."""
    user_id = invite(world, as_maria)
    directory.deactivate(acting=as_maria, user_id=user_id, runtime=world.runtime)
    for one in (per.id, user_id):
        with pytest.raises(Conflict):
            inviting.invite_again(acting=as_maria, user_id=one, runtime=world.runtime)


def test_s35_one_person_is_not_flooded_with_invitations(world: World, as_maria: Acting, maria: User) -> None:
    """Three more within a day, then 429 that says when; the day after it goes on."""
    user_id = invite(world, as_maria)
    for _ in range(MOST_SENT_AGAIN):
        inviting.invite_again(acting=as_maria, user_id=user_id, runtime=world.runtime)
    mails = len(world.mails())
    browser = world.signed_in("maria@birch.example", BIRCH)
    browser.get(f"/users/{user_id}")
    answer = browser.post(f"/users/{user_id}/invite-again")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 86_401
    assert "already. Try again in" in browser.text
    assert len(world.mails()) == mails
    world.clock.advance(days=1)
    inviting.invite_again(acting=as_maria, user_id=user_id, runtime=world.runtime)


def test_s35_an_instance_does_not_mail_the_whole_world(
    world: World, as_maria: Acting, maria: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form comes back with what was typed and says when; the command line is the operator's own."""
    monkeypatch.setattr(inviting, "MOST_INVITATIONS", 2)
    assert MOST_INVITATIONS >= 2
    for name in ("a", "b"):
        invite(world, as_maria, email=f"{name}@birch.example")
    with pytest.raises(RateLimited) as refused:
        invite(world, as_maria, email="c@birch.example")
    assert timedelta(seconds=refused.value.retry_after) <= timedelta(days=1, seconds=1)
    browser = world.signed_in("maria@birch.example", BIRCH)
    browser.get("/users/invite")
    answer = browser.post("/users/invite", {"full_name": "Kai Berg", "email": "kai@x.example", "role": "member"})
    assert (answer.status_code, bool(answer.headers["Retry-After"])) == (429, True)
    assert 'value="kai@x.example"' in browser.page
    by_command = Acting(user_id=None, instance_id=as_maria.instance_id, actor=as_maria.actor, request_id=None)
    assert invite(world, by_command, email="d@birch.example")
