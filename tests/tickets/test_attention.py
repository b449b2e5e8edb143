"""P11: a stuck removal is told of in mail – once when it becomes one, then daily – and stands on /jobs."""

from __future__ import annotations

import re
from functools import partial

import pytest
from sqlalchemy import select, update

from instances.models import VirtualInstance
from tempadmin.db import db, transaction
from tempadmin.jobs import jobs
from tempadmin.outbox.models import OutboxMessage
from tests.tickets.crowd import crowd
from tests.tickets.evidence import BEA, at_once, workers
from tests.tickets.word import Stuck, stuck
from tests.world import CONSOLE, World
from tickets import attention
from tickets.attention import tell_omniadmins
from tickets.models import AccessRequest
from tickets.states import EndReason, State


@pytest.fixture
def case(world: World, acme: VirtualInstance) -> Stuck:
    return stuck(world)


def told(world: World) -> list[str]:
    """To whom a mail about stuck removals was queued so far."""
    db.session.rollback()
    query = select(OutboxMessage.recipient).where(OutboxMessage.template == attention.STUCK)
    return list(db.session.scalars(query.order_by(OutboxMessage.id)))


def test_p11_omniadmins_are_told_once_when_a_removal_is_stuck_and_daily_while_it_lasts(case: Stuck) -> None:
    """However often the job runs, each gets one mail at once, one more a day later, and none after it is gone."""
    case.world.omniadmin(BEA, "Bea Ek")
    both = ["ada@operator.example", BEA]
    removal = jobs(case.world.app)["removal"]
    for _ in range(3):
        removal.run(case.world.runtime)
        case.world.clock.advance(minutes=10)
    assert told(case.world) == both
    case.world.clock.advance(hours=23, minutes=29)
    removal.run(case.world.runtime)
    assert told(case.world) == both
    case.world.clock.advance(minutes=1)
    removal.run(case.world.runtime)
    assert told(case.world) == both * 2
    case.directory.remove_error = None
    case.world.clock.advance(hours=25)
    removal.run(case.world.runtime)
    assert told(case.world) == both * 2


def test_p11_one_mail_names_every_case(case: Stuck) -> None:
    """A directory's bad day is one mail: the first twenty accounts by name, with what was tried, and how many more."""
    world = case.world
    instances = [world.instance(f"c{number}").id for number in range(24)]
    ids = crowd(requesters=[case.acting.user_id or 0], instances=instances, ends_at=world.clock.now())
    over = {"state": State.ENDING, "end_reason": EndReason.TIME_LIMIT, "ending_at": world.clock.now()}
    with transaction() as session:
        many = update(AccessRequest).where(AccessRequest.id.in_(ids))
        session.execute(many.values(**over, removal_failures=3, last_error="down"))
    assert tell_omniadmins(world.runtime) == 25
    jobs(world.app)["mail"].run(world.runtime)
    (mail,) = [mail for mail in world.mails() if "could not be removed" in mail]
    assert mail.startswith("Subject: 25 accounts could not be removed yet")
    assert len(re.findall("tried 3 times in vain", mail)) == 20
    assert re.search(r"And:?\s+5 more", mail), mail
    assert f"{CONSOLE}/access?tab=attention" in mail


def test_p14_two_leaders_tell_of_a_stuck_removal_once(case: Stuck) -> None:
    """Both find it untold at the same moment: one of them writes the mail."""
    with workers(case.world, 2) as pair:

        def tell(one: World) -> int:
            with one.app.app_context():
                return tell_omniadmins(one.runtime)

        assert sorted(at_once([partial(tell, one) for one in pair])) == [0, 1]
    assert told(case.world) == ["ada@operator.example"]


def test_p11_a_mail_about_what_is_gone_meanwhile_is_not_sent(case: Stuck) -> None:
    """It is put into words when it is sent; there is nothing left to say."""
    assert tell_omniadmins(case.world.runtime) == 1
    case.directory.remove_error = None
    case.ada.get(case.page)
    case.ada.post(f"{case.page}/retry-removal")
    jobs(case.world.app)["mail"].run(case.world.runtime)
    assert [mail for mail in case.world.mails() if "could not be removed" in mail] == []


def test_p11_jobs_lists_what_needs_attention(case: Stuck) -> None:
    """Account, instance, since when, failures, the last error, the next try, and both buttons; without any, nothing."""
    case.ada.get(f"{CONSOLE}/jobs")
    for words in (
        "Removals that need attention",
        case.request.account_name or "-",
        "Acme Logistics",
        "3 times",
        "the directory is down",
        "Retry now",
        "Removed by hand",
    ):
        assert words in case.ada.text, words
    case.directory.remove_error = None
    case.ada.post(f"{case.page}/retry-removal", follow=True)
    case.ada.get(f"{CONSOLE}/jobs")
    assert "Removals that need attention" not in case.ada.text
