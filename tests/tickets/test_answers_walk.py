"""The life of an access request that wants a yes from both sides, walked at random beside a model of design §2 (P9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tempadmin.audit.log import SERVICE
from tempadmin.errors import DomainError
from tests.conftest import POSTGRESQL, SQLITE, Build
from tests.tickets.asked import People, acting, ask, gather
from tests.world import World
from tickets.approve import approve, reject
from tickets.end import end_access
from tickets.expire import expire_due
from tickets.start import start
from tickets.states import EndReason

WALKS = {SQLITE: 15, POSTGRESQL: 10}
PROFILE = settings(
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
TTL = timedelta(hours=24)
PENDING, APPROVED, PROVISIONING, ENDED = "pending_approval", "approved", "provisioning", "ended"
OPERATOR, CUSTOMER = "operator", "customer"


class Model:
    """Both sides are asked; a yes of each, then Start, each within 24 h; one no, a cancel or the time ends it."""

    def __init__(self, now: datetime) -> None:
        self.state, self.reason, self.until = PENDING, "", now + TTL
        self.missing = {OPERATOR, CUSTOMER}

    def waits(self, state: str, now: datetime) -> bool:
        return self.state == state and now < self.until

    def answers(self, side: str, now: datetime, *, yes: bool) -> bool:
        if not self.waits(PENDING, now) or side not in self.missing:
            return False
        self.missing.discard(side)
        if not yes:
            self.ends("rejected")
        elif not self.missing:
            self.state, self.until = APPROVED, now + TTL
        return True

    def starts(self, now: datetime) -> bool:
        if not self.waits(APPROVED, now):
            return False
        self.state = PROVISIONING
        return True

    def ends(self, reason: str) -> bool:
        if self.state == ENDED:
            return False
        # Where no create was ever attempted it is over and done in one transaction.
        self.state, self.reason = ENDED, reason
        return True


class Answers(RuleBasedStateMachine):
    """Ada asks, Bea answers for the operator and Rosa for the customer, a job and the clock do the rest."""

    def __init__(self, world: World, people: People) -> None:
        super().__init__()
        self.world, self.people = world, people
        self.sides = {OPERATOR: people.bea, CUSTOMER: people.rosa}
        self.request_id = 0
        self.model: Model | None = None

    @rule()
    @precondition(lambda self: self.model is None or self.model.state == ENDED)
    def ask(self) -> None:
        self.world.clock.advance(days=1)  # past the cap on what is rejected in a day
        self.request_id = ask(self.world, self.people.ada)
        self.model = Model(self.world.clock.now())

    @rule(side=st.sampled_from([OPERATOR, CUSTOMER]), yes=st.sampled_from([True, True, True, False]))
    @precondition(lambda self: self.model is not None)
    def answer(self, *, side: str, yes: bool) -> None:
        how, person = approve if yes else reject, acting(self.sides[side])
        went = self._goes(lambda: how(request_id=self.request_id, acting=person, runtime=self.world.runtime))
        assert self.model is not None
        assert went == self.model.answers(side, self.world.clock.now(), yes=yes)

    @rule()
    @precondition(lambda self: self.model is not None)
    def nobody_answers_for_themselves(self) -> None:
        person = acting(self.people.ada)
        assert not self._goes(lambda: approve(request_id=self.request_id, acting=person, runtime=self.world.runtime))

    @rule()
    @precondition(lambda self: self.model is not None)
    def press_start(self) -> None:
        ada = self.people.ada
        went = self._goes(lambda: start(request_id=self.request_id, user_id=ada, runtime=self.world.runtime))
        assert self.model is not None
        assert went == self.model.starts(self.world.clock.now())

    @rule()
    @precondition(lambda self: self.model is not None)
    def cancel(self) -> None:
        call = {"reason": EndReason.CANCELLED, "actor": SERVICE, "runtime": self.world.runtime}
        went = self._goes(lambda: end_access(request_id=self.request_id, **call))  # type: ignore[arg-type]
        assert self.model is not None
        assert went == self.model.ends("cancelled")

    @rule(hours=st.sampled_from([1, 11, 23, 24, 25]))
    def time_goes_by(self, hours: int) -> None:
        self.world.clock.advance(hours=hours)

    @rule()
    @precondition(lambda self: self.model is not None)
    def the_job_runs(self) -> None:
        expire_due(self.world.runtime)
        assert self.model is not None
        if self.model.state in (PENDING, APPROVED) and self.world.clock.now() >= self.model.until:
            self.model.ends("lapsed")

    @invariant()
    def the_request_stands_where_the_model_does(self) -> None:
        """An ended one never opens again, whatever is tried on it."""
        if self.model is not None:
            request = self.world.request(self.request_id)
            assert (request.state, request.end_reason or "") == (self.model.state, self.model.reason)

    def teardown(self) -> None:
        """Leave nothing open to the next walk."""
        if self.model is not None and self.model.state != ENDED:
            self.cancel()

    def _goes(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except DomainError:
            return False
        return True


@pytest.mark.timeout(300)
def test_p9_answers_go_as_the_model_does(build: Build, database: str, request: pytest.FixtureRequest) -> None:
    """Random answers, Starts, cancels, jobs and days: the same are taken, the same states follow, ends stay."""
    world = build(rate_limits=False)
    people = gather(world, require_omniadmin=True, require_customer=True)
    walks = WALKS[database] * request.config.getoption("--walks")
    run_state_machine_as_test(lambda: Answers(world, people), settings=settings(PROFILE, max_examples=walks))  # type: ignore[arg-type]
