"""Who is told what of an administrator access that its customer is asked about, and in which words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from instances.inviting import invite
from instances.registry import archive_instance
from tempadmin.accounts.omniadmins import disable_omniadmin
from tempadmin.audit.log import SERVICE
from tests.tickets.mailbox import Mailbox
from tests.tickets.told import ACME, ADA, BEN, HOUR, NOOR, OLE, Stage, acting, make_stage
from tests.world import CONSOLE, REASON, World
from tickets.change_policy import change_policy
from tickets.expire import expire_due
from tickets.states import EndReason


@pytest.fixture
def stage(world: World) -> Stage:
    """Acme asks its own administrators first."""
    return make_stage(world)


@pytest.fixture
def box(stage: Stage) -> Mailbox:
    """All mails."""
    return Mailbox(stage.world)


def test_an_ask_tells_each_administrator_who_wants_what_where(stage: Stage, box: Mailbox) -> None:
    """And nobody else: not the requester's other account, no unvouched, unused or deactivated one, no stranger."""
    stage.ask()
    mails = box.new()
    assert {mail.to for mail in mails} == {NOOR, OLE}
    for mail in mails:
        assert mail.subject == "Ada Brandt asks for administrator access to Acme Logistics"
        assert mail.story.startswith(
            "Ada Brandt (ada@operator.example) asks for administrator access to Acme Logistics"
        )
        assert "acme.localhost:8000), for 1 hour. Nothing happens before you answer." in mail.story
        assert mail.links == [f"{ACME}/support-access"] == mail.buttons
        assert f"Reason: {REASON}" in mail.text
        assert "External ticket: HELP-1" in mail.text
        assert "You do not expect this? Reject it, and speak to your provider." in mail.text


def test_an_ask_waits_for_the_job(stage: Stage, box: Mailbox) -> None:
    """Many mails hold nobody up: the request that causes them sends none."""
    stage.ask()
    assert stage.world.mails() == []
    assert len(box.new()) == 2


def test_an_ask_of_both_sides_tells_both(world: World) -> None:
    """The other omniadmins get the console's page."""
    stage, box = make_stage(world, require_omniadmin=True), Mailbox(world)
    stage.ask()
    mails = {mail.to: mail for mail in box.new()}
    assert mails.keys() == {BEN, NOOR, OLE}
    assert mails[BEN].links == [f"{CONSOLE}/access/{stage.request.public_id}"]
    assert "Reject it, and speak to Ada Brandt." in mails[BEN].text
    stage.yes(stage.noor)
    assert box.told() == {}
    stage.yes(stage.ben)
    assert box.told() == {ADA: "Your administrator access to Acme Logistics is approved"}


def test_an_approval_says_who_said_yes_and_until_when_it_waits(stage: Stage, box: Mailbox) -> None:
    """With the note, and with what follows: Start."""
    stage.ask()
    box.new()
    stage.yes(stage.noor, note="Only until noon, please.")
    mail = box.only(ADA)
    assert mail.story.startswith("Noor Haddad said yes to your administrator access to Acme Logistics")
    assert 'Press "Start"' in mail.story
    assert "Noor Haddad wrote: Only until noon, please." in mail.text
    assert "It waits until 23 Nov 2026, 10:00 UTC; then it lapses." in mail.text
    assert mail.links == [f"{CONSOLE}/access/{stage.request.public_id}"]


def test_a_rejection_says_who_said_no_and_what_they_wrote(stage: Stage, box: Mailbox) -> None:
    """The requester alone is told."""
    stage.ask()
    box.new()
    stage.no(stage.ole, "We have an audit today.\nCome tomorrow.")
    (mail,) = box.new()
    assert (mail.to, mail.subject) == (ADA, "Your administrator access to Acme Logistics was rejected")
    assert mail.story.startswith("Ole said no to your administrator access")
    assert "Ole wrote: We have an audit today.\n    Come tomorrow." in mail.text


@pytest.mark.parametrize(("state", "said"), [("pending", "Nobody answered"), ("approved", "you did not start it in")])
def test_a_request_that_lapsed_is_told_to_who_asked(state: str, said: str, stage: Stage, box: Mailbox) -> None:
    """Unanswered for a day, or approved and not started for one."""
    stage.ask()
    if state == "approved":
        stage.yes(stage.noor)
    box.new()
    stage.world.clock.advance(hours=24)
    expire_due(stage.world.runtime)
    (mail,) = box.new()
    assert (mail.to, mail.subject) == (ADA, "Your request for administrator access to Acme Logistics lapsed")
    assert said in mail.story


@pytest.mark.parametrize("how", ["policy", "archived", "customer"])
def test_a_request_that_others_stopped_is_told_to_who_asked(how: str, stage: Stage, box: Mailbox) -> None:
    """A stricter policy, an archived instance, a customer who ends it before anybody was inside."""
    stage.ask()
    stage.yes(stage.noor)
    box.new()
    runtime = stage.world.runtime
    if how == "policy":
        change_policy(acting=acting(stage.noor), require_customer=True, longest=HOUR / 2, runtime=runtime)
    elif how == "archived":
        archive_instance(web_id="acme", actor=SERVICE, runtime=runtime)
    else:
        stage.end(EndReason.ENDED_BY_CUSTOMER, stage.ole)
    (mail,) = box.new()
    assert mail.to == ADA
    assert mail.subject == "Your request for administrator access to Acme Logistics is over before you went in"
    said = {
        "policy": "Ended: the policy of the instance became stricter (Noor Haddad).",
        "archived": "Ended: the instance was archived.",
        "customer": "Ended by the customer (Ole).",
    }
    assert said[how] in mail.story


def test_what_one_ends_oneself_is_told_to_nobody(stage: Stage, box: Mailbox) -> None:
    """A cancelled request leaves no mail behind, and the ask that still waits is not sent."""
    stage.ask()
    stage.end(EndReason.CANCELLED, stage.ada)
    assert box.told() == {}


def test_an_entry_is_told_to_the_customer_and_to_whose_name_it_is(stage: Stage, box: Mailbox) -> None:
    """Who is inside, for how long, approved by whom, and where to end it."""
    stage.ask()
    stage.yes(stage.noor)
    box.new()
    stage.enter()
    mails = box.new()
    assert sorted(mail.to for mail in mails) == [ADA, ADA, NOOR, OLE]
    noor = next(mail for mail in mails if mail.to == NOOR)
    assert noor.subject == "Ada Brandt is now inside Acme Logistics"
    assert "as a temporary administrator, for 1 hour at most." in noor.story
    assert "Approved by: Noor Haddad" in noor.text
    assert "22 Nov 2026, 12:00 (22 Nov 2026, 11:00 UTC) at the latest" in noor.text
    assert 'choose "End access"' in noor.text
    assert noor.links == [f"{ACME}/support-access"]


def ended_by_customer(stage: Stage) -> str:
    stage.end(EndReason.ENDED_BY_CUSTOMER, stage.noor)
    return "Ended by the customer (Noor Haddad)."


def ended_by_requester(stage: Stage) -> str:
    stage.end(EndReason.ENDED_BY_REQUESTER, stage.ada)
    return "Ended by the requester."


def ended_by_time(stage: Stage) -> str:
    stage.world.clock.advance(hours=1)
    expire_due(stage.world.runtime)
    return "Time limit reached."


@pytest.mark.parametrize("end", [ended_by_customer, ended_by_requester, ended_by_time])
def test_an_end_is_told_to_both_sides_with_a_summary(end: Callable[[Stage], str], stage: Stage, box: Mailbox) -> None:
    """When, how long, how many requests, what was created; a customer's people are named to the customer alone."""
    stage.ask()
    stage.yes(stage.noor)
    inside = stage.enter()
    invite(
        acting=stage.inside,
        email="kim@acme.example",
        full_name="Kim Lund",
        role="member",
        runtime=stage.world.runtime,
    )
    inside.get(f"{ACME}/users")
    stage.world.clock.advance(minutes=12)
    box.new()
    how = end(stage)
    lasted = "1 h 12 min" if end is ended_by_time else "12 min"
    mails = {mail.to: mail for mail in box.new()}
    count = stage.request.activity_count
    assert count >= 2
    assert mails.keys() == {ADA, NOOR, OLE}
    assert mails[ADA].subject == "Your administrator access to Acme Logistics is over"
    assert mails[NOOR].subject == mails[OLE].subject == "Ada Brandt is no longer inside Acme Logistics"
    for mail in mails.values():
        assert f"for {lasted} and made {count} requests. {how}" in mail.story
    assert "From: 22 Nov 2026, 11:00 (22 Nov 2026, 10:00 UTC)" in mails[NOOR].text
    assert "Accounts invited or let in again: Kim Lund <kim@acme.example>" in mails[NOOR].text
    assert "Other accounts changed: none" in mails[NOOR].text
    assert mails[NOOR].links == [f"{ACME}/support-access/{stage.request.public_id}"]
    assert "Accounts invited or let in again: 1\n" in mails[ADA].text
    assert "kim" not in mails[ADA].text.lower()


def test_a_requester_who_is_disabled_hears_nothing_more(stage: Stage, box: Mailbox) -> None:
    """The customer does."""
    stage.ask()
    stage.yes(stage.noor)
    stage.enter()
    box.new()
    disable_omniadmin(instance_id=stage.ada.instance_id, email=ADA, runtime=stage.world.runtime)
    assert box.told().keys() == {NOOR, OLE}
