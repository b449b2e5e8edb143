"""P1, P10, P11, P13: many accesses that are over at once are ended and removed in batches, each judged by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import func, select, update

from instances.connectors.base import Account, ConnectorError
from instances.connectors.local import LocalConnector
from instances.connectors.registry import connectors
from tempadmin.accounts.models import TEMPORARY, LoginSession, User
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db, transaction
from tempadmin.outbox.models import OutboxMessage
from tests.breakage import broken
from tests.statements import statements
from tests.tickets.crowd import crowd
from tests.tickets.directories import Moody, put_in
from tests.tickets.evidence import events, faults
from tests.world import World
from tickets.expire import expire_due, retry_due
from tickets.models import AccessRequest
from tickets.states import EndReason, State


@pytest.fixture
def people(world: World) -> list[int]:
    return [world.omniadmin(f"op{number}@operator.example").id for number in range(6)]


def instances(world: World, many: int) -> list[int]:
    found = [world.instance(f"c{number}") for number in range(many)]
    for instance in found:
        world.administrator(instance, f"admin@{instance.web_id}.example")
    return [instance.id for instance in found]


def states(ids: Sequence[int]) -> dict[str, int]:
    db.session.rollback()
    counted = select(AccessRequest.state, func.count()).where(AccessRequest.id.in_(ids)).group_by(AccessRequest.state)
    return dict(db.session.execute(counted).all())


def temporary_accounts() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).where(User.kind == TEMPORARY)) or 0


def test_p1_p13_many_accesses_end_together_in_few_statements(world: World, people: list[int]) -> None:
    """All are gone after one run, each with its record and its mails, and an access costs few statements of its own."""
    ids = crowd(requesters=people, instances=instances(world, 20), ends_at=world.clock.now())
    with statements() as seen:
        assert expire_due(world.runtime) == "120 ended"
    assert states(ids) == {State.ENDED: 120}
    assert temporary_accounts() == 0
    assert db.session.scalar(select(func.count()).where(LoginSession.access_request_id.is_not(None))) == 0
    told = select(AuditEvent.event, func.count()).where(AuditEvent.request_id.in_(ids)).group_by(AuditEvent.event)
    assert dict(db.session.execute(told).all()) == {"access.ending": 120, "access.ended": 120}
    assert faults(world) == []
    waiting = select(func.count()).where(OutboxMessage.next_attempt_at.is_not(None))
    assert db.session.scalar(waiting) == 240  # to the requester and to the customer's administrator, all by the job
    assert len(seen) <= 3 * 120, len(seen) / 120


@pytest.mark.only_sqlite  # which keeps any text where a moment should be
def test_s36_a_request_that_cannot_be_judged_keeps_no_other_of_its_batch(world: World, people: list[int]) -> None:
    """Its limit is garbage: it stays, the job says so, and all others are gone; mended, it follows them."""
    ids = crowd(requesters=people, instances=instances(world, 2), ends_at=world.clock.now())
    with broken("access_requests", "ends_at", "garbage", row_id=ids[3]):
        assert expire_due(world.runtime) == "11 ended, 1 cannot be judged; run tempadmin doctor"
        assert states(ids) == {State.ENDED: 11, State.ACTIVE: 1}
        assert temporary_accounts() == 1
    assert expire_due(world.runtime) == "1 ended"
    assert temporary_accounts() == 0


@pytest.mark.only_sqlite
def test_s36_a_request_that_cannot_be_read_keeps_no_other_removal_of_its_batch(world: World, people: list[int]) -> None:
    """What the directory said of it cannot be written down: it is looked at again in an hour, the others have ended."""
    directory = Moody()
    put_in(world.app, directory)
    directory.remove_error = ConnectorError("down")
    ids = crowd(requesters=people, instances=instances(world, 2), ends_at=world.clock.now())
    expire_due(world.runtime)
    assert states(ids) == {State.ENDING: 12}
    directory.remove_error = None
    world.clock.advance(minutes=1)
    with broken("access_requests", "attempt_deadline", "garbage", row_id=ids[3]):
        assert retry_due(world.runtime) == "0 made, 11 removed"
        assert retry_due(world.runtime) == "0 made, 0 removed"
    assert "cannot be read" in (world.request(ids[3]).last_error or "")
    world.clock.advance(hours=1)
    assert retry_due(world.runtime) == "0 made, 1 removed"
    assert states(ids) == {State.ENDED: 12}


def test_p11_one_account_that_will_not_go_keeps_no_other_of_its_batch(world: World, people: list[int]) -> None:
    """It is not ours by its name any more: its removal is counted as failed and postponed, eleven have ended."""
    ids = crowd(requesters=people, instances=instances(world, 2), ends_at=world.clock.now())
    with transaction() as session:
        session.execute(update(User).where(User.access_request_id == ids[3]).values(screen_name="somebody"))
    expire_due(world.runtime)
    assert states(ids) == {State.ENDED: 11, State.ENDING: 1}
    request = world.request(ids[3])
    assert (request.removal_failures, events(ids[3])[-1]) == (1, "access.removal_failed")
    assert request.next_attempt_at is not None
    assert request.next_attempt_at > world.clock.now()


class Stumbling(LocalConnector):
    """It breaks down over a batch, and over one account also alone; it forgets to speak of another."""

    breaks_over = forgets = 0

    def remove_many(self, accounts: Sequence[Account]) -> Mapping[int, ConnectorError | None]:
        if self.breaks_over in {account.request_id for account in accounts}:
            raise RuntimeError("no such thing was foreseen")
        said = dict(super().remove_many(accounts))
        return {user: word for user, word in said.items() if user != self.forgets}


def test_p11_a_connector_that_breaks_down_over_one_account_is_asked_for_each(world: World, people: list[int]) -> None:
    """The unforeseen concerns the account that it is about; all others are gone."""
    directory = Stumbling()
    put_in(world.app, directory)
    ids = crowd(requesters=people, instances=instances(world, 1), ends_at=world.clock.now())
    directory.breaks_over = ids[2]
    expire_due(world.runtime)
    assert states(ids) == {State.ENDED: 5, State.ENDING: 1}
    assert world.request(ids[2]).last_error == "RuntimeError"


def test_p11_an_account_that_a_directory_does_not_speak_of_is_not_called_gone(world: World, people: list[int]) -> None:
    """Half an answer is no answer for the other half."""
    directory = Stumbling()
    put_in(world.app, directory)
    ids = crowd(requesters=people, instances=instances(world, 1), ends_at=world.clock.now())
    directory.forgets = world.request(ids[2]).subject_id or 0
    expire_due(world.runtime)
    assert states(ids) == {State.ENDED: 5, State.ENDING: 1}
    assert "nothing is known" in (world.request(ids[2]).last_error or "")


class Remote(LocalConnector):
    """A directory elsewhere, one account a call; ``down`` are the instances that do not answer; it notes its calls."""

    batch = 1

    def __init__(self, *down: int) -> None:
        self.down, self.asked = set(down), list[int]()

    def remove(self, account: Account) -> None:
        self.asked.append(account.instance_id)
        if account.instance_id in self.down:
            raise ConnectorError("no answer in time")
        super().remove(account)


def test_p11_an_instance_whose_directory_is_down_is_tried_beside_those_that_answer(
    world: World, people: list[int]
) -> None:
    """Known to be down, it is begun with after the others, and one try in vain is enough for this run."""
    down, up = instances(world, 2)
    remote = connectors(world.app)["remote"] = Remote(down)
    ids = crowd(requesters=people, instances=[down, up], ends_at=world.clock.now(), connector="remote")
    with transaction() as session:
        values = {"state": State.ENDING, "end_reason": EndReason.TIME_LIMIT, "next_attempt_at": world.clock.now()}
        session.execute(update(AccessRequest).values(**values, ending_at=world.clock.now()))
        session.execute(update(AccessRequest).where(AccessRequest.id == ids[0]).values(removal_failures=1))
    assert retry_due(world.runtime) == "0 made, 6 removed"
    assert remote.asked[0] == up
    assert sorted(remote.asked) == [down, *[up] * 6]
    remote.down.clear()
    world.clock.advance(minutes=1)
    assert retry_due(world.runtime) == "0 made, 6 removed"
    assert temporary_accounts() == 0
