"""Mails of an impersonation; and that each mail is still its reader's business when it is sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from instances.directory import deactivate
from tempadmin.db import db
from tempadmin.outbox.models import OutboxMessage
from tempadmin.outbox.queue import deliver_due
from tests.tickets.evidence import key_in
from tests.tickets.mailbox import Mailbox
from tests.tickets.told import ACME, ADA, BEN, MIA, NOOR, OLE, Stage, acting, change, make_stage
from tests.world import CONSOLE, World
from tickets.confirm import disown
from tickets.start import start
from tickets.states import EndReason


@pytest.fixture
def stage(world: World) -> Stage:
    """Acme asks its own administrators first."""
    return make_stage(world)


@pytest.fixture
def box(stage: Stage) -> Mailbox:
    """All mails."""
    return Mailbox(stage.world)


def test_an_impersonation_is_between_the_user_and_who_asks(stage: Stage, box: Mailbox) -> None:
    """Asked, approved, entered, ended: the user alone is told besides the requester, never their administrators."""
    stage.ask_mia()
    (asked,) = box.new()
    assert (asked.to, asked.subject) == (MIA, "Ada Brandt asks to see Acme Logistics as you see it")
    assert "asks to see Acme Logistics as you see it (acme.localhost:8000), for 1 hour." in asked.story
    assert asked.links == [f"{ACME}/support-access"]
    assert "until 23 Nov 2026, 19:00 (23 Nov 2026, 10:00 UTC); then it lapses" in asked.text

    stage.yes(stage.mia, note="Please look at my orders.")
    approved = box.only(ADA)
    assert approved.subject == "Your impersonation of Mia Holm at Acme Logistics is approved"
    assert approved.story.startswith("Mia Holm said yes to your impersonation of Mia Holm at Acme Logistics")

    stage.enter()
    inside = {mail.subject: mail for mail in box.new()}
    assert {mail.to for mail in inside.values()} == {ADA, MIA}
    assert inside["Confirm your impersonation of Mia Holm at Acme Logistics"].to == ADA
    entered = inside["Somebody entered Acme Logistics in your name"]
    assert "and sees what Mia Holm sees, in your name, Ada Brandt" in entered.story
    told = inside["Ada Brandt now sees Acme Logistics as you see it"]
    assert (told.to, told.links) == (MIA, [f"{ACME}/support-access"])

    stage.end(EndReason.ENDED_BY_SUBJECT, stage.mia)
    over = {mail.to: mail for mail in box.new()}
    assert over.keys() == {ADA, MIA}
    assert over[MIA].subject == "Ada Brandt no longer sees Acme Logistics as you see it"
    assert "was inside Acme Logistics (acme.localhost:8000) as you for" in over[MIA].story
    assert "Ended by the user (Mia Holm)." in over[ADA].story
    assert over[MIA].links == [f"{ACME}/support-access/{stage.request.public_id}"]


def test_a_user_who_says_no_is_heard_by_who_asked(stage: Stage, box: Mailbox) -> None:
    """With the note."""
    stage.ask_mia()
    box.new()
    stage.no(stage.mia, "I do not know you.")
    (mail,) = box.new()
    assert (mail.to, mail.subject) == (ADA, "Your impersonation of Mia Holm at Acme Logistics was rejected")
    assert "Mia Holm wrote: I do not know you." in mail.text


def test_a_user_who_is_deactivated_is_told_nothing_and_who_asked_is(stage: Stage, box: Mailbox) -> None:
    """The request ends with the account that it was about."""
    stage.ask_mia()
    box.new()
    deactivate(acting=acting(stage.noor), user_id=stage.mia.id, runtime=stage.world.runtime)
    (mail,) = box.new()
    assert mail.to == ADA
    assert "the user's account was deactivated or changed" in mail.story


def demoted(stage: Stage) -> None:
    change(stage.noor, role="member")


def deactivated(stage: Stage) -> None:
    change(stage.noor, active=False)


def marked(stage: Stage) -> None:
    change(stage.noor, made_in_request_id=999)


def same_person(stage: Stage) -> None:
    change(stage.ada, email=NOOR)


@pytest.mark.parametrize("lose", [demoted, deactivated, marked, same_person])
def test_p9_s25_a_mail_waits_and_its_reader_may_not_have_it_any_more(
    lose: Callable[[Stage], None], stage: Stage, box: Mailbox
) -> None:
    """Looked at again when it is sent: role, use, mark, and whether it is the requester after all."""
    stage.ask()
    lose(stage)
    assert box.told().keys() == {OLE}
    db.session.rollback()
    waiting = select(func.count()).where(OutboxMessage.next_attempt_at.is_not(None))
    assert db.session.scalar(waiting) == 0


def test_a_requester_who_is_no_omniadmin_any_more_gets_no_answer(stage: Stage, box: Mailbox) -> None:
    """What waits for them is dropped."""
    stage.ask()
    stage.yes(stage.noor)
    change(stage.ada, role="member")
    assert box.told() == {}


def test_an_ask_that_was_answered_meanwhile_is_not_sent(world: World) -> None:
    """Only the side that has still to answer is asked."""
    stage, box = make_stage(world, require_omniadmin=True), Mailbox(world)
    stage.ask()
    stage.yes(stage.ole)
    assert box.told().keys() == {BEN}


def test_not_me_reaches_the_other_omniadmins_each_in_their_own_zone(stage: Stage, box: Mailbox) -> None:
    """Never whoever said so, nor a disabled colleague."""
    change(stage.ben, time_zone="America/New_York")
    change(stage.world.omniadmin("old@operator.example", "Old Hand"), active=False)
    stage.ask_mia()
    stage.yes(stage.mia)
    start(request_id=stage.request_id, user_id=stage.ada.id, runtime=stage.world.runtime)
    key = key_in(stage.world.confirmation_link())
    box.new()
    disown(key=key, user_id=stage.ada.id, runtime=stage.world.runtime)
    (mail,) = box.new()
    assert (mail.to, mail.subject) == (BEN, "Ada Brandt says: this access request to Acme Logistics was not mine")
    assert "A request for impersonation of Mia Holm at Acme Logistics was made in the name of Ada Brandt" in mail.story
    assert "Asked: 22 Nov 2026, 05:00 (22 Nov 2026, 10:00 UTC)" in mail.text
    assert mail.links == [f"{CONSOLE}/access/{stage.request.public_id}"]


def test_an_instances_zone_is_for_people_who_chose_none(stage: Stage, box: Mailbox) -> None:
    """One's own zone comes first; the requester, on another instance, reads UTC."""
    change(stage.acme, time_zone="Asia/Tokyo")
    stage.ask()
    until = {mail.to: mail.text for mail in box.new()}
    assert "until 23 Nov 2026, 19:00 (23 Nov 2026, 10:00 UTC)" in until[OLE]
    assert "until 23 Nov 2026, 11:00 (23 Nov 2026, 10:00 UTC)" in until[NOOR]


def test_many_administrators_get_one_mail_each(stage: Stage, box: Mailbox) -> None:
    """More than one run of the job sends, and nobody twice."""
    for number in range(60):
        stage.world.administrator(stage.acme, f"boss{number}@acme.example")
    stage.ask()
    told = [mail.to for mail in (*box.new(), *box.new())]
    assert len(told) == len(set(told)) == 62
    assert box.new() == []


def test_a_mail_server_that_is_down_keeps_every_mail(stage: Stage, box: Mailbox) -> None:
    """The answer is taken all the same, and the mails go when the server is back."""
    folder = stage.world.runtime.settings.data / "mail"
    folder.write_text("a file where the folder should be")
    stage.ask()
    deliver_due(stage.world.runtime)
    folder.unlink()
    stage.world.clock.advance(seconds=15)
    assert box.told().keys() == {NOOR, OLE}
