"""P11: what a person can do about a stuck removal; their word is verified, and nothing is called done before that."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.cli import build as build_command
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict, Forbidden, Invalid
from tempadmin.jobs import jobs
from tests.tickets.evidence import events, faults, workers
from tests.tickets.locks import overlap
from tests.tickets.word import WHY, Stuck, stuck
from tests.world import CONSOLE, KEYS, World
from tickets import by_hand
from tickets.models import AccessRequest
from tickets.queries import needs_attention, removal_figures
from tickets.removal import deprovision
from tickets.states import State


@pytest.fixture
def case(world: World, acme: VirtualInstance) -> Stuck:
    return stuck(world)


def run_job(case: Stuck) -> str:
    db.session.rollback()
    return jobs(case.world.app)["removal"].run(case.world.runtime)


def say(case: Stuck, reason: str = WHY) -> bool:
    return by_hand.say_removed(request_id=case.id, acting=case.acting, reason=reason, runtime=case.world.runtime)


def attention(case: Stuck) -> bool:
    return needs_attention(case.request, now=case.world.clock.now())


def test_p11_a_person_can_have_a_removal_tried_now(case: Stuck) -> None:
    """From the request's page, whatever pause it is in: while it fails they are told, then the account is gone."""
    case.ada.get(case.page)
    assert "Retry now" in case.ada.text
    case.ada.post(f"{case.page}/retry-removal", follow=True)
    assert "not known to be gone yet" in case.ada.text
    assert case.request.removal_failures == 4
    case.directory.remove_error = None
    case.ada.post(f"{case.page}/retry-removal", follow=True)
    assert "was read back as gone" in case.ada.text
    assert case.request.state == State.ENDED
    assert events(case.id).count("access.removal_asked_for") == 2
    with pytest.raises(Conflict):
        by_hand.retry_removal(request_id=case.id, acting=case.acting, runtime=case.world.runtime)
    assert faults(case.world) == []


def test_p11_a_removal_by_hand_that_the_directory_confirms_ends_the_request(case: Stuck) -> None:
    """By the form, with a reason; person and reason are on record and on the time line."""
    case.directory.there = False
    case.ada.get(f"{case.page}/removed-by-hand")
    case.ada.post(f"{case.page}/removed-by-hand", {"reason": WHY}, follow=True)
    assert "confirms that the account is gone" in case.ada.text
    assert f"Ada Brandt: “{WHY}”" in case.ada.text
    assert case.request.state == State.ENDED
    assert events(case.id)[-2:] == ["access.removed_by_hand", "access.ended"]
    assert faults(case.world) == []


def test_p11_a_removal_by_hand_that_the_directory_denies_is_not_recorded(case: Stuck) -> None:
    """It says so with 409; the denial is on record, and nothing else has changed."""
    case.ada.get(f"{case.page}/removed-by-hand")
    assert case.ada.post(f"{case.page}/removed-by-hand", {"reason": WHY}).status_code == 409
    assert "still there" in case.ada.text
    assert (case.request.removed_by_hand_at, case.request.state) == (None, State.ENDING)
    assert events(case.id)[-1] == "access.removed_by_hand_refused"
    assert attention(case)


def test_p11_a_word_that_nobody_can_verify_is_kept_and_asked_after_until_it_is_true(case: Stuck) -> None:
    """It leaves *Needs attention*, is not called ended, and hourly the directory is asked until it says gone."""
    case.directory.there = None
    assert say(case) is False
    assert (case.request.state, attention(case)) == (State.ENDING, False)
    assert removal_figures(case.world.clock.now()).by_hand == 1
    case.ada.get(case.page)
    assert "Removed by hand, not yet verified" in case.ada.text
    failures = case.request.removal_failures
    for _ in range(3):
        case.world.clock.advance(hours=1)
        assert deprovision(request_id=case.id, runtime=case.world.runtime) is False  # due, and left to the person
        run_job(case)
        assert (case.request.state, case.request.removal_failures) == (State.ENDING, failures)
    case.directory.there = False
    case.world.clock.advance(minutes=59)
    run_job(case)
    assert case.request.state == State.ENDING
    case.world.clock.advance(minutes=1)
    assert "1 removed by hand" in run_job(case)
    assert case.request.state == State.ENDED
    assert events(case.id)[-1] == "access.ended"


def test_p11_a_word_that_proves_wrong_is_void_and_needs_attention_at_once(case: Stuck) -> None:
    """The directory answers that the account is still there: in the record, in a mail to each omniadmin, on /jobs."""
    case.directory.there = None
    say(case)
    case.directory.there = True
    case.world.clock.advance(hours=1)
    run_job(case)
    assert attention(case)
    assert "access.removed_by_hand_void" in events(case.id)
    ada = case.world.signed_in()
    ada.get(f"{CONSOLE}/jobs")
    assert "Ada Brandt said that it was removed by hand; the directory says that it is still there" in ada.text
    jobs(case.world.app)["mail"].run(case.world.runtime)
    (mail,) = [mail for mail in case.world.mails() if mail.startswith("Subject: Still there: liferay_online")]
    assert "Ada Brandt said that" in mail
    assert WHY in mail
    case.directory.remove_error = None
    case.world.clock.advance(seconds=1)
    run_job(case)
    assert case.request.state == State.ENDED


def test_p11_while_a_create_may_still_take_effect_gone_does_not_count(case: Stuck) -> None:
    """The directory says gone before the last create's deadline: the word is kept, and judged after it (design §2)."""
    deadline = case.world.clock.now() + timedelta(seconds=10)
    with transaction() as session:
        session.execute(update(AccessRequest).where(AccessRequest.id == case.id).values(attempt_deadline=deadline))
    case.directory.there = False
    assert say(case) is False
    assert case.request.state == State.ENDING
    case.world.clock.advance(seconds=10)
    run_job(case)
    assert case.request.state == State.ENDED


@pytest.mark.parametrize("reason", ["too short", " " * 50, "x" * 2001])
def test_s35_a_removal_by_hand_needs_a_reason(case: Stuck, reason: str) -> None:
    """10 to 2,000 characters, as everywhere; the form says so and nothing is kept."""
    with pytest.raises(Invalid):
        say(case, reason)
    case.ada.get(f"{case.page}/removed-by-hand")
    assert case.ada.post(f"{case.page}/removed-by-hand", {"reason": reason}).status_code == 400
    assert case.request.removed_by_hand_at is None


def test_s32_nobody_but_an_omniadmin_sees_to_removals(case: Stuck, acme: VirtualInstance) -> None:
    """Neither a customer's administrator nor a support session, by whatever path."""
    admin, ours = case.world.administrator(acme, "admin@acme.example"), case.acting
    db.session.rollback()
    outsider = type(ours)(user_id=admin.id, instance_id=acme.id, actor=ours.actor, request_id=None)
    inside = type(ours)(user_id=ours.user_id, instance_id=ours.instance_id, actor=ours.actor, request_id=case.id)
    for acting in (outsider, inside):
        with pytest.raises(Forbidden):
            by_hand.retry_removal(request_id=case.id, acting=acting, runtime=case.world.runtime)
        with pytest.raises(Forbidden):
            by_hand.say_removed(request_id=case.id, acting=acting, reason=WHY, runtime=case.world.runtime)
    assert case.request.removed_by_hand_at is None


def test_p11_a_removal_that_is_done_meanwhile_beats_a_word(case: Stuck) -> None:
    """Directories are asked outside any transaction; what was ended meanwhile stays ended, and the person is told."""
    case.directory.there, case.directory.remove_error = None, None
    case.world.clock.advance(hours=2)
    with workers(case.world, 2) as (one, other):

        def speak() -> object:
            with pytest.raises(Conflict) as refused:
                by_hand.say_removed(request_id=case.id, acting=acting, reason=WHY, runtime=other.runtime)
            return refused.value.message

        acting = case.acting
        db.session.rollback()
        _, said = overlap(
            (one, lambda: deprovision(request_id=case.id, runtime=one.runtime)), (other, speak), at="access.ended"
        )
    assert said == by_hand.OVER
    assert (case.request.state, case.request.removed_by_hand_at) == (State.ENDED, None)


def command(case: Stuck, *arguments: str) -> Result:
    settings = case.world.runtime.settings
    environment = {"TEMPADMIN_BASE_URL": CONSOLE, "TEMPADMIN_SECRET_KEYS": KEYS[0]}
    if settings.database_url:
        environment["TEMPADMIN_DATABASE_URL"] = settings.database_url
    told = ["access", *arguments, "--as", "ada@operator.example", "--data", str(settings.data)]
    return CliRunner(env=environment).invoke(build_command(["instances", "scheduler", "tickets"]), told)


def test_p11_both_can_be_done_by_command_line(case: Stuck) -> None:
    """As a named omniadmin: there the embedded directory obeys, so the account is gone; then nothing is left to do."""
    gone = command(case, "retry-removal", case.public_id)
    assert (gone.exit_code, gone.output.strip()) == (0, "The account is gone."), gone.output
    late = command(case, "removed-by-hand", case.public_id, "--reason", WHY)
    assert late.exit_code != 0
    assert by_hand.OVER in late.output
    assert db.session.get(User, case.request.subject_id or 0) is None
