"""P9, S33: nobody approves their own request, by page, command line or job, under any of their accounts."""

from __future__ import annotations

import pytest

from instances.directory import Acting
from tempadmin.accounts.models import User
from tempadmin.audit.log import SERVICE
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tempadmin.errors import Forbidden
from tempadmin.jobs import jobs
from tests.browser import Browser
from tests.tickets.consent import acting, ask, customer, person
from tests.tickets.test_commands import Command, command
from tests.world import CONSOLE, World
from tickets import queries
from tickets.approve import approve, reject
from tickets.models import Approval
from tickets.states import State

__all__ = ["command"]

ADA = "ada@operator.example"
ACME = "http://acme.localhost:8000"
ACCOUNTS = ["the requester's own", "an account at the customer", "the same, renamed since"]


@pytest.fixture
def asked(world: World, request: pytest.FixtureRequest) -> int:
    """Ada's request, which waits for a second omniadmin and for Acme; she has an administrator's account there too."""
    world.clock.time = SystemClock().now()
    world.omniadmin()
    world.omniadmin("jon@operator.example", "Jon Reyes")
    acme = customer(world, require_customer=True, require_omniadmin=True)
    world.administrator(acme, ADA)
    return ask(world).id


def own_account(world: World, which: str) -> User:
    """One of the requester's accounts; renamed ones bear the address that she has now, and not the one that asked."""
    if which == ACCOUNTS[0]:
        return person(ADA)
    at_acme = db.session.query(User).filter(User.email == ADA, User.instance_id != 1).one().id
    if which == ACCOUNTS[2]:
        with transaction():
            db.session.query(User).filter(User.email == ADA).update({"email": "ada.brandt@operator.example"})
    db.session.rollback()
    return db.session.get_one(User, at_acme)


def undecided(world: World, request_id: int) -> bool:
    """Whether the request still waits, and nobody answered."""
    request = world.request(request_id)
    answers = db.session.query(Approval.decision).filter(Approval.request_id == request_id).all()
    return request.state == State.PENDING_APPROVAL and {decision for (decision,) in answers} == {None}


def own_pages(world: World, which: str, user: User) -> tuple[Browser, str]:
    """A browser in which that account is signed in, and where its answers would be sent."""
    if which == ACCOUNTS[0]:
        return world.signed_in(user.email, CONSOLE), "/access"
    return world.signed_in(user.email, ACME), "/support-access"


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("which", ACCOUNTS)
def test_p9_s33_no_page_takes_the_requesters_own_answer(world: World, asked: int, which: str, verb: str) -> None:
    """The console and the customer's host refuse it, and show no button for it to the address that asked."""
    public_id = world.request(asked).public_id
    browser, place = own_pages(world, which, own_account(world, which))
    browser.get(f"{place}/{public_id}")
    assert which == ACCOUNTS[2] or f"{public_id}/{verb}" not in browser.page
    browser.get("/logout")
    response = browser.post(f"{place}/{public_id}/{verb}")
    assert (response.status_code, "Nobody decides their own request" in browser.text) == (403, True)
    assert undecided(world, asked)


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("which", ACCOUNTS)
def test_p9_s33_no_command_takes_the_requesters_own_answer(
    world: World, asked: int, command: Command, which: str, verb: str
) -> None:
    """Whichever account --as and --on name."""
    public_id = world.request(asked).public_id
    email = own_account(world, which).email
    on = () if which == ACCOUNTS[0] else ("--on", "acme")
    refused = command("access", verb, public_id, "--as", email, *on)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Nobody decides their own request" in refused.stderr
    assert undecided(world, asked)


def test_p9_no_job_says_yes(world: World, asked: int) -> None:
    """Every job runs, also long after the time to answer: the request lapses, and never goes on."""
    for _ in range(2):
        for job in jobs(world.app).values():
            job.run(world.runtime)
        assert undecided(world, asked)
    world.clock.advance(days=2)
    for job in jobs(world.app).values():
        job.run(world.runtime)
    request = world.request(asked)
    assert (request.state, request.end_reason) == (State.ENDED, "lapsed")
    assert [one.decision for one in queries.approvals_of(request)] == [None, None]


@pytest.mark.parametrize("use_case", [approve, reject])
def test_p9_s33_the_service_itself_decides_nothing(world: World, asked: int, use_case: object) -> None:
    """What a job could call refuses whoever is no person."""
    nobody = Acting(user_id=None, instance_id=world.request(asked).instance_id, actor=SERVICE, request_id=None)
    with pytest.raises(Forbidden):
        use_case(request_id=asked, acting=nobody, runtime=world.runtime)  # type: ignore[operator]
    assert undecided(world, asked)


def test_p9_s33_no_support_session_decides_its_colleagues_request(world: World, asked: int) -> None:
    """An administrator's account through which support looks is not that administrator."""
    rosa = person("rosa@acme.example")
    with pytest.raises(Forbidden, match="support session"):
        approve(request_id=asked, acting=acting(rosa, request_id=77), runtime=world.runtime)
    assert undecided(world, asked)
