"""Who is told of more time: asked, granted, refused, or taken where nobody is asked."""

from __future__ import annotations

import pytest

from tests.tickets.mailbox import Mailbox
from tests.tickets.told import ADA, BEN, MIA, NOOR, OLE, Stage, change, make_stage
from tests.world import World


@pytest.fixture
def stage(world: World) -> Stage:
    """Acme asks its own administrators first."""
    return make_stage(world)


@pytest.fixture
def box(stage: Stage) -> Mailbox:
    """All mails."""
    return Mailbox(stage.world)


def test_more_time_is_asked_of_the_same_and_told_to_all(world: World) -> None:
    """Granted, the requester hears of it, and whoever watches and did not say yes themselves."""
    stage, box = make_stage(world, require_omniadmin=True), Mailbox(world)
    stage.ask()
    stage.yes(stage.noor, stage.ben)
    stage.enter()
    box.new()
    extension_id = stage.extend(reason="The import runs for longer.")
    mails = {mail.to: mail for mail in box.new()}
    assert mails.keys() == {BEN, NOOR, OLE}
    assert mails[OLE].subject == "Ada Brandt asks for more time on Acme Logistics"
    assert "asks for 30 min more on Acme Logistics" in mails[OLE].story
    assert "Reason: The import runs for longer." in mails[OLE].text
    stage.more(extension_id, stage.noor, stage.ben)
    mails = {mail.to: mail for mail in box.new()}
    assert {to: mail.subject for to, mail in mails.items()} == {
        ADA: "You have more time on Acme Logistics",
        OLE: "Ada Brandt has more time on Acme Logistics",
    }
    assert "Approved by: Noor Haddad and Ben Ito" in mails[ADA].text
    ends_at = stage.request.ends_at
    assert ends_at is not None
    assert f"It ends 22 Nov 2026, {ends_at:%H:%M} UTC at the latest." in mails[OLE].text


def test_a_refusal_of_more_time_is_told_to_who_asked(stage: Stage, box: Mailbox) -> None:
    """With the note; the access goes on."""
    stage.ask()
    stage.yes(stage.noor)
    stage.enter()
    extension_id = stage.extend()
    box.new()
    stage.no_more(extension_id, stage.ole, "An hour is enough.")
    (mail,) = box.new()
    assert (mail.to, mail.subject) == (ADA, "You get no more time on Acme Logistics")
    assert mail.story.startswith("Ole said no to more time on Acme Logistics")
    assert "Ole wrote: An hour is enough." in mail.text


def test_more_time_that_nobody_is_asked_for_is_told_too(stage: Stage, box: Mailbox) -> None:
    """Whoever was told until when somebody is inside hears that it is longer."""
    change(stage.acme, require_customer=False)
    stage.ask()
    stage.enter()
    box.new()
    stage.extend()
    assert box.told() == {
        ADA: "You have more time on Acme Logistics",
        NOOR: "Ada Brandt has more time on Acme Logistics",
        OLE: "Ada Brandt has more time on Acme Logistics",
    }


def test_more_time_as_a_user_is_the_users_to_give(stage: Stage, box: Mailbox) -> None:
    """Asked of the user alone; who said yes is not told that they did."""
    stage.ask_mia()
    stage.yes(stage.mia)
    stage.enter()
    box.new()
    extension_id = stage.extend()
    (asked,) = box.new()
    assert (asked.to, asked.subject) == (MIA, "Ada Brandt asks for more time on Acme Logistics")
    assert "where they see what you see" in asked.story
    stage.more(extension_id, stage.mia)
    assert box.told() == {ADA: "You have more time on Acme Logistics"}
