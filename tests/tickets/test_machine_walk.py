"""The life of an access request, walked at random beside a model of design §2, time included (P1, P2, P13)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, update

from instances.connectors.base import ConnectorError
from instances.registry import archive_instance
from tempadmin.accounts import omniadmins
from tempadmin.accounts.models import LoginSession, User
from tempadmin.accounts.sessions import live_ids, sign_out
from tempadmin.audit import queries as audit_queries
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tests.conftest import POSTGRESQL, SQLITE, Build
from tests.tickets import model
from tests.tickets.evidence import events
from tests.tickets.scenes import Scene, sign_in
from tests.tickets.walk import MOSTLY, PICK, People, answer_of
from tests.world import World
from tickets import confirm
from tickets.end import end_access
from tickets.expire import expire_due, retry_due
from tickets.models import Ticket
from tickets.states import EndReason
from tickets.sweep import sweep

WALKS = {SQLITE: 30, POSTGRESQL: 20}
PROFILE = settings(
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    phases=[Phase.generate],  # with Phase.shrink a failure is told in fewer steps, minutes later
    suppress_health_check=list(HealthCheck),
)
SECONDS = st.sampled_from([1, 5, 29, 30, 60, 299, 300, 900, 1799, 1800, 3599, 4500])
ENDS = st.sampled_from([EndReason.CANCELLED, EndReason.ENDED_BY_OMNIADMIN, EndReason.LOGOUT])
MOODS = {"well": None, "away": ConnectorError("it is down"), "never": ConnectorError("forbidden", permanent=True)}


class Walk(People):
    """What happens to people's requests: ends from every side, jobs, days when the directory is unwell, and time."""

    @rule(steps=st.integers(1, 4))
    def go_on(self, steps: int) -> None:
        """Take the next steps of the straight way, as somebody does who wants to get in; else few walks come there."""
        for _ in range(steps):
            state, now = self.newest.state if self.newest else None, self.clock.now()
            if not self.person.active:
                self.come_to_work_again()
            elif state == model.PROVISIONING:
                self.provision()
            elif self.newest and self.newest.over(now):
                self.a_job_runs("expiry")
            elif state == model.AWAITING:
                self.clock.advance(seconds=30)
                self.confirm(pick=0, right=True, mine=True)
            elif state == model.READY:
                self.go_on_with_the_link()
            elif state == model.ACTIVE:
                self.look(pick=0)
            else:
                self.ask()

    def go_on_with_the_link(self) -> None:
        """Open it, fetch a code, come back: one of them at a time, so that others come between."""
        if not self.windows or self.windows[-1].held is not self.shown[-1]:
            self.open_link(pick=0)
        elif not self.windows[-1].code:
            self.fetch_code(pick=0, mine=True)
        else:
            self.come_back(pick=0)

    @rule(seconds=SECONDS)
    def time_goes_by(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(times=st.integers(1, 8), seconds=st.sampled_from([240, 290, 299, 299, 300]))
    @precondition(lambda self: self.newest is not None and self.newest.state in (model.AWAITING, model.READY))
    def put_off(self, times: int, seconds: int) -> None:
        """Renew the link again and again, just before it runs out or just too late."""
        for _ in range(times):
            self.clock.advance(seconds=seconds)
            awaiting = self.newest is not None and self.newest.state == model.AWAITING
            self.renew(purpose=model.CONFIRM if awaiting else model.LOGIN, mine=True)

    @rule(seconds=SECONDS)
    def a_scheduler_is_at_work(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)
        self.a_job_runs("expiry")
        self.a_job_runs("removal")

    @rule(create=st.sampled_from(["well", "well", "well", *MOODS]), remove=st.sampled_from(["well", "away"]))
    def the_directory_has_a_mood(self, create: str, remove: str) -> None:
        self.directory.create_error, self.directory.remove_error = MOODS[create], MOODS[remove]

    @rule(pick=PICK, reason=ENDS)
    @precondition(lambda self: self.requests)
    def end(self, pick: int, reason: EndReason) -> None:
        request_id, _, asked = self.requests[-1 - pick % len(self.requests)]
        answer = answer_of(
            lambda: end_access(request_id=request_id, reason=reason, actor=SERVICE, runtime=self.runtime)
        )
        assert answer == (model.DONE if asked.is_open else "Conflict")
        self.end_all(reason, [asked])

    @rule(pick=PICK, mine=MOSTLY)
    @precondition(lambda self: self.mailed)
    def disown(self, *, pick: int, mine: bool) -> None:
        held = self.mailed[-1 - pick % len(self.mailed)]
        answer = answer_of(lambda: confirm.disown(key=held.key, user_id=self.who(mine=mine), runtime=self.runtime))
        if not mine:
            assert answer == "NotFound"
        elif held.asked.state == model.AWAITING and held.link.works(self.clock.now()):
            assert answer == model.DONE
            self.end_all("not_me", [held.asked])
        else:
            assert answer in ("Conflict", "Gone")

    @rule(how=st.sampled_from(["sign out", "disable", "archive"]))
    @precondition(lambda self: len(self.requests) > 1)
    def everything_is_lost(self, how: str) -> None:
        reason = {"sign out": "requester_signed_out", "disable": "requester_disabled", "archive": "instance_archived"}
        here = [asked for _, _, asked in self.requests]
        if how == "sign out":
            for session_id in live_ids(user_id=self.scene.user_id):
                sign_out(session_id=session_id, runtime=self.runtime)
            self.end_all(reason[how], here)
            sign_in(self.world, db.session.get_one(User, self.scene.user_id))
        elif how == "disable":
            home = self.world.default_instance().id
            omniadmins.disable_omniadmin(instance_id=home, email=self.scene.address, runtime=self.runtime)
            self.end_all(reason[how], here)
            self.person.active = False
        else:
            archive_instance(web_id=self.scene.web_id, actor=SERVICE, runtime=self.runtime)
            self.end_all(reason[how], here)
            new = self.world.instance(f"{self.scene.web_id}-{len(self.requests)}-{len(self.places)}")
            self.scene = Scene(self.scene.user_id, self.scene.address, "", new.id, new.web_id)
            self.places.append(new.id)

    @rule()
    @precondition(lambda self: not self.person.active)
    def come_to_work_again(self) -> None:
        self.set_active(active=True)
        sign_in(self.world, db.session.get_one(User, self.scene.user_id))

    @rule(job=st.sampled_from(["expiry", "removal", "removal", "clean-up"]))
    def a_job_runs(self, job: str) -> None:
        now, before = self.clock.now(), self.directory.creates
        if job == "removal":
            retry_due(self.runtime)
            for request_id, public_id, asked in self.requests:
                if asked.state == model.PROVISIONING:
                    self.tried(request_id, public_id, asked, before)
        elif job == "expiry":
            expire_due(self.runtime)
        else:
            sweep(min_age=timedelta(0), runtime=self.runtime)
        for request_id, _, asked in self.requests:
            if job != "removal" and (reason := asked.over(now)) is not None:
                self.end_all(reason, [asked])
            self.removed(request_id, asked, job)

    def removed(self, request_id: int, asked: model.Request, job: str) -> None:
        """Follow a removal: only a directory that is well ends it, and one that stays well does within 75 minutes."""
        if asked.state != model.ENDING or job == "expiry":
            return
        now, since = self.clock.now(), asked.touched_at or self.clock.now()
        if self.state_of(request_id) == model.ENDED:
            assert self.well
            asked.go(model.ENDED)
        elif self.well:
            assert not asked.state_is_proven(now) or (job == "removal" and now - since < model.LONGEST_PAUSE)
        else:
            asked.touched_at = now

    @invariant()
    def p13_the_machine_stands_where_the_model_does(self) -> None:
        """States, reasons, and for each transition its event."""
        for request_id, _, asked in self.requests[-2:]:
            request = self.world.request(request_id)
            assert (request.state, request.end_reason) == (asked.state, asked.reason)
            told = [one for one in events(request_id) if one in model.EVENTS.values()]
            assert told == [model.EVENTS[state] for state in asked.path]

    @invariant()
    def p2_one_live_ticket_and_one_session_at_most(self) -> None:
        for request_id, _, asked in self.requests[-2:]:
            db.session.rollback()
            tickets = db.session.scalars(select(Ticket).where(Ticket.request_id == request_id)).all()
            live = [(one.purpose, one.expires_at) for one in tickets if one.used_at is None and one.voided_at is None]
            assert live == [(link.purpose, link.expires_at) for link in asked.live]
            assert len(live) == (asked.state in (model.AWAITING, model.READY))
            inside = db.session.scalars(select(LoginSession).where(LoginSession.access_request_id == request_id)).all()
            assert len(inside) == (asked.sessions if asked.state == model.ACTIVE else min(len(inside), asked.sessions))
            assert [one.ended_at is None for one in inside].count(True) == (asked.state == model.ACTIVE)

    @invariant()
    def p1_an_account_exists_while_its_request_does(self) -> None:
        for request_id, _, asked in self.requests[-2:]:
            db.session.rollback()
            accounts = db.session.scalars(select(User).where(User.access_request_id == request_id)).all()
            if asked.state == model.ENDED or not asked.tries:
                assert accounts == []
            elif asked.is_open:
                assert [one.active for one in accounts] == [asked.state == model.ACTIVE]

    def teardown(self) -> None:
        """Whatever was walked: left to the jobs and a directory that is well, nothing remains, and the record holds."""
        self.the_directory_has_a_mood("well", "well")
        for request_id, _, asked in self.requests:
            if asked.is_open:
                end_access(request_id=request_id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=self.runtime)
        self.clock.advance(seconds=4500)
        retry_due(self.runtime)
        assert [self.state_of(request_id) for request_id, _, _ in self.requests] == [model.ENDED] * len(self.requests)
        for instance_id in self.places:
            assert list(audit_queries.verify(instance_id=instance_id, runtime=self.runtime)) == []
            assert db.session.scalars(select(User.id).where(User.instance_id == instance_id)).all() == []
        self.set_active(active=False)

    def set_active(self, *, active: bool) -> None:
        """Behind the service's back: no command lets somebody in again yet."""
        self.person.active = active
        with transaction():
            db.session.execute(update(User).where(User.id == self.scene.user_id).values(active=active))
            if not active:
                db.session.execute(update(User).where(User.id == self.colleague.user_id).values(active=False))


@pytest.mark.timeout(300)
def test_p1_p2_p13_the_machine_goes_as_the_model_does(
    build: Build, database: str, request: pytest.FixtureRequest
) -> None:
    """1,000 steps of people, jobs and time: the same answers, the same states, an event for each, and nothing left."""
    world: World = build(rate_limits=False)
    walks = WALKS[database] * request.config.getoption("--walks")
    run_state_machine_as_test(lambda: Walk(world), settings=settings(PROFILE, max_examples=walks))  # type: ignore[arg-type]
