"""An account elsewhere and its password, walked at random: moods, clicks, jobs, ends, time (P1, P12)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import update

from instances.connectors.base import ConnectorError
from instances.connectors.drill import Fault, set_fault
from tempadmin.accounts.models import SecondFactor
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tempadmin.errors import DomainError
from tests.conftest import POSTGRESQL, SQLITE, Build
from tests.tickets.evidence import faults
from tests.tickets.scenes import bring
from tests.tickets.vault import Vault, is_open, is_there, put_in, raising, scene_with
from tests.world import REASON, World
from tickets import credential
from tickets.activation import activate_due, try_again
from tickets.end import end_access
from tickets.expire import expire_due, retry_due
from tickets.extend import extend
from tickets.models import AccessRequest
from tickets.states import OPEN, EndReason, State

WALKS = {SQLITE: 12, POSTGRESQL: 4}
PROFILE = settings(
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MOODS = [None, None, Fault.REFUSES, Fault.TIMES_OUT, Fault.DOES_IT_AND_ERRS, Fault.DIES_HALF_WAY, Fault.DOES_NOTHING]
HOUR = timedelta(hours=1)


class Walk(RuleBasedStateMachine):
    """One access to a directory that may be unwell from the moment when its link is there."""

    world: World
    vault: Vault

    def __init__(self) -> None:
        super().__init__()
        db.session.rollback()
        self.scene, self.shown = scene_with(self.world, self.vault), list[str]()
        self.vault.before.clear()
        bring(self.world, self.scene, State.READY)
        self.name = self.request.account_name or ""

    @property
    def request(self) -> AccessRequest:
        return self.world.request(self.scene.request_id)

    def tried(self, call: Callable[[], object]) -> object:
        """Make a call that may be refused; a person reads why."""
        try:
            return call()
        except DomainError:
            return None
        finally:
            db.session.rollback()

    @rule(mood=st.sampled_from(MOODS))
    def the_directory_has_a_mood(self, mood: Fault | None) -> None:
        set_fault(self.scene.instance_id, mood, until=self.world.clock.now() + timedelta(days=1))

    @rule()
    def somebody_spoils_its_settings(self) -> None:
        self.vault.before["enable"] = raising(ConnectorError("no such group", permanent=True))

    @rule()
    @precondition(lambda self: self.request.state == State.READY)
    def come_in(self) -> None:
        self.scene.browser(self.world).get(self.scene.link, follow=True)

    @rule(seconds=st.sampled_from([1, 4, 10, 30, 120, 900]))
    def time_goes_by(self, seconds: int) -> None:
        self.world.clock.advance(seconds=seconds)

    @rule(job=st.sampled_from([activate_due, activate_due, retry_due, expire_due]))
    def a_job_runs(self, job: Callable[[Any], object]) -> None:
        db.session.rollback()
        job(self.world.runtime)

    @rule()
    def press_try_again(self) -> None:
        self.tried(lambda: try_again(request_id=self.scene.request_id, runtime=self.world.runtime))

    @rule()
    def press_show_the_password(self) -> None:
        let_in = self.request.activated_at is not None
        facts: dict[str, Any] = {"actor": self.scene.actor, "runtime": self.world.runtime}
        got = self.tried(lambda: credential.show(request_id=self.scene.request_id, **facts))
        if got is not None:
            assert let_in
            assert self.request.state == State.ACTIVE
            self.shown.append(str(got))

    @rule()
    @precondition(lambda self: self.request.state == State.ACTIVE)
    def get_more_time(self) -> None:
        with transaction() as session:
            session.execute(update(SecondFactor).values(last_step=0))
        facts: dict[str, Any] = {"reason": REASON, "added": HOUR, "answer": self.world.code()}
        person, runtime = self.scene.user_id, self.world.runtime
        self.tried(lambda: extend(request_id=self.scene.request_id, user_id=person, runtime=runtime, **facts))

    @rule(reason=st.sampled_from([EndReason.LOGOUT, EndReason.ENDED_BY_CUSTOMER]))
    @precondition(lambda self: self.request.state == State.ACTIVE)
    def end(self, reason: EndReason) -> None:
        facts: dict[str, Any] = {"actor": SERVICE, "runtime": self.world.runtime}
        self.tried(lambda: end_access(request_id=self.scene.request_id, reason=reason, **facts))

    @invariant()
    def nobody_gets_in_too_early_or_too_late(self) -> None:
        """Open there only from the redemption to the end's removal, and gone once that is called done."""
        request = self.request
        assert not is_open(self.world, self.name) or request.state in (State.ACTIVE, State.ENDING)
        assert request.state != State.ENDED or not is_there(self.world, self.name)

    @invariant()
    def the_password_is_kept_while_it_may_be_shown(self) -> None:
        """Shown once at most, the one that the directory has; kept by an active access alone, until then."""
        request = self.request
        assert len(self.shown) <= 1
        assert (request.credential_shown_at is not None) == bool(self.shown)
        kept = request.sealed_credential is not None
        assert kept == (request.state == State.ACTIVE and not self.shown)
        assert all(self.vault.passwords.get(self.name) == one for one in self.shown)

    def teardown(self) -> None:
        """In the end it is over, and nothing is left, whatever happened."""
        set_fault(self.scene.instance_id, None, until=self.world.clock.now())
        if State(self.request.state) in OPEN:
            facts: dict[str, Any] = {"actor": SERVICE, "runtime": self.world.runtime}
            end_access(request_id=self.scene.request_id, reason=EndReason.CANCELLED, **facts)
        for _ in range(4):
            self.world.clock.advance(hours=2)
            db.session.rollback()
            retry_due(self.world.runtime)
        assert self.request.state == State.ENDED
        assert not is_there(self.world, self.name)


def test_p1_p12_whatever_happens_to_an_account_elsewhere(build: Build, database: str) -> None:
    """Nobody gets in too early or too late, the password is shown once, and the doctor finds every promise kept."""
    world = build()

    class Here(Walk):
        """A walk in this test's world."""

    Here.world, Here.vault = world, put_in(world)
    run_state_machine_as_test(Here, settings=settings(PROFILE, max_examples=WALKS[database]))
    db.session.rollback()
    assert [line.finding.message for line in examine_promises() if line.finding.level is not Level.OK] == []
    assert faults(world) == []
