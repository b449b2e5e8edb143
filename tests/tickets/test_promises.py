"""P6, P8, P13: a temporary administrator is nowhere to be found, has no power elsewhere, and all is on record."""

from __future__ import annotations

from contextvars import Context
from datetime import timedelta
from itertools import pairwise

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from instances import directory, inviting
from instances.cli import user as user_command
from instances.models import VirtualInstance
from tempadmin.accounts import omniadmins
from tempadmin.accounts.models import OMNIADMIN, LoginSession, User
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from tests.browser import Browser
from tests.tickets.evidence import ACME, Inside, dump, events, faults, go_inside, key_in, thief
from tests.world import CONSOLE, KEYS, PASSWORD, REASON, World
from tickets import confirm
from tickets.hand_off import issue_code
from tickets.request import request_access
from tickets.states import TRANSITIONS, State

MARKS = ("liferay_online", "liferayonline")


@pytest.fixture
def inside(world: World, acme: VirtualInstance) -> Inside:
    """Ada in acme, where there are an administrator and a member."""
    world.administrator(acme, "boss@acme.example")
    world.user(acme, "per@acme.example")
    return go_inside(world)


@pytest.fixture
def account(inside: Inside) -> User:
    """The temporary account's row."""
    db.session.rollback()
    return db.session.get_one(User, inside.request.subject_id)


@pytest.fixture
def boss(world: World, inside: Inside) -> Browser:
    """The customer's administrator, signed in."""
    return world.signed_in("boss@acme.example", ACME)


def acting(world: World, person: str = "boss@acme.example") -> directory.Acting:
    """The customer's administrator, for use cases."""
    db.session.rollback()
    row = db.session.scalars(select(User).where(User.email == person)).one()
    actor = Actor(id=row.id, name=row.full_name)
    return directory.Acting(user_id=row.id, instance_id=row.instance_id, actor=actor, request_id=None)


def test_p6_the_account_is_in_no_list_search_or_count(world: World, inside: Inside, boss: Browser) -> None:
    """Neither the customer nor the support session itself finds it among the people; the count is two."""
    searches = ("", "?q=liferay", "?q=liferay_online", "?q=@liferayonline.com", "?q=Ada", "?q=Brandt", "?page=2")
    for browser in (boss, thief(world, inside.cookie)):
        for query in searches:
            assert browser.get(f"{ACME}/users{query}").status_code == 200
            listed = browser.page.partition("<tbody")[2]
            assert not any(mark in listed for mark in (*MARKS, "Brandt")), query
        browser.get(f"{ACME}/users")
        assert browser.page.count("@acme.example") == 2
        assert "1 – 2" in browser.text


def test_p6_the_account_has_no_page_and_cannot_be_changed(
    world: World, inside: Inside, account: User, boss: Browser
) -> None:
    """Its address answers as one that never was, to every method and action, and nothing of it changes."""
    nobody = account.id + 1000
    before = dump(world)["users"]
    for browser in (boss, thief(world, inside.cookie)):
        seen = {}
        for user_id in (account.id, nobody):
            url = f"{ACME}/users/{user_id}"
            found = [browser.get(url).status_code, browser.text]
            for action in ("", "/deactivate", "/activate"):
                browser.get(f"{ACME}/users/invite")
                sent = {"full_name": "Someone", "role": "member"}
                found += [browser.post(url + action, sent).status_code, browser.text]
            seen[user_id] = found
        assert seen[account.id] == seen[nobody]
        assert set(seen[nobody][::2]) == {404}
    assert dump(world)["users"] == before


def test_p6_no_use_case_knows_the_account(world: World, inside: Inside, account: User) -> None:
    """Edit, deactivate and activate, below the pages, find nobody; the last administrator is not counted with it."""
    who, user_id = acting(world), account.id
    runtime = world.runtime
    with pytest.raises(NotFound):
        directory.edit(acting=who, user_id=user_id, full_name="X", role="member", runtime=runtime)
    with pytest.raises(NotFound):
        directory.deactivate(acting=who, user_id=user_id, runtime=runtime)
    with pytest.raises(NotFound):
        directory.activate(acting=who, user_id=user_id, runtime=runtime)
    assert who.user_id is not None
    with pytest.raises(Conflict, match="last active administrator"):
        directory.edit(acting=who, user_id=who.user_id, full_name="Boss", role="member", runtime=runtime)


@pytest.mark.parametrize("password", [PASSWORD, "", "liferay_online", "None", "x" * 200])
def test_p6_nobody_signs_in_as_the_account_with_a_password(
    world: World, inside: Inside, account: User, password: str
) -> None:
    """On its own instance and on the console the sign-in answers as for an unknown address."""
    for base in (ACME, CONSOLE):
        for email in (account.email, account.screen_name or "", account.email.upper()):
            browser = world.browser(base)
            browser.get(f"{base}/login")
            response = browser.post(f"{base}/login", {"email": email, "password": password})
            assert response.status_code in (400, 429), browser.trail
    db.session.rollback()
    assert db.session.scalars(select(LoginSession.id).where(LoginSession.user_id == account.id)).all() != []
    assert account.password_hash is None


def test_p6_the_database_refuses_a_password_for_the_account(world: World, inside: Inside, account: User) -> None:
    """Not even a mistake in our own code gives it one: a constraint stands before."""
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), transaction():
        db.session.get_one(User, account.id).password_hash = "x"


def test_p6_the_account_is_neither_invited_nor_reset(world: World, inside: Inside, account: User) -> None:
    """Its address cannot be invited, and it is no omniadmin whose factor could be reset."""
    who, email, home = acting(world), account.email, world.default_instance().id
    with pytest.raises(Invalid):
        inviting.invite(acting=who, email=email, full_name="X", role="member", runtime=world.runtime)
    for instance_id in (home, who.instance_id):
        with pytest.raises(NotFound):
            omniadmins.reset_factor(instance_id=instance_id, email=email, runtime=world.runtime)
        with pytest.raises(NotFound):
            omniadmins.disable_omniadmin(instance_id=instance_id, email=email, runtime=world.runtime)


def test_p6_the_command_line_does_not_list_the_account(world: World, inside: Inside) -> None:
    """``user list`` shows the two people and no more."""
    settings = world.runtime.settings
    environment = {
        "TEMPADMIN_BASE_URL": settings.base_url,
        "TEMPADMIN_SECRET_KEYS": KEYS[0],
        "TEMPADMIN_DATABASE_URL": settings.database,
    }
    arguments = ["list", "--data", str(settings.data), "--instance", "acme", "--json"]
    listed = Context().run(CliRunner().invoke, user_command, arguments, env=environment)
    assert listed.exit_code == 0, listed.output
    assert listed.stdout.count("@acme.example") == 2
    assert not any(mark in listed.stdout for mark in MARKS)


def test_p8_the_account_has_no_power_over_requests(world: World, inside: Inside, account: User) -> None:
    """Below the pages, too: it cannot ask, confirm, send again, make a link, disown or fetch a code."""
    other = world.instance("borealis")
    waiting = world.ask(inside.ada, other.web_id)
    key, runtime = key_in(world.confirmation_link()), world.runtime
    before = dump(world)
    me, request_id = account.id, waiting.id
    calls = {
        "ask": lambda: request_access(
            requester_id=me,
            web_id=other.web_id,
            reason=REASON,
            external_ticket=None,
            duration=timedelta(hours=1),
            runtime=runtime,
        ),
        "look": lambda: confirm.look(key=key, user_id=me, runtime=runtime),
        "confirm": lambda: confirm.confirm(key=key, user_id=me, answer=world.code(), runtime=runtime),
        "send again": lambda: confirm.send_again(request_id=request_id, user_id=me, runtime=runtime),
        "new link": lambda: confirm.new_sign_in_link(request_id=request_id, user_id=me, runtime=runtime),
        "not me": lambda: confirm.disown(key=key, user_id=me, runtime=runtime),
        "code": lambda: issue_code(public_id=waiting.public_id, challenge="c" * 43, user_id=me, runtime=runtime),
    }
    for name, call in calls.items():
        with pytest.raises((Forbidden, NotFound)):
            call()
        assert dump(world) == before, name


def test_p8_the_omniadmins_role_would_not_help_the_account(world: World, inside: Inside, account: User) -> None:
    """Were the role planted on its row, asking would still be refused, for it is temporary."""
    with transaction():
        db.session.get_one(User, account.id).role = OMNIADMIN
    world.instance("borealis")
    with pytest.raises(DomainError, match="Only omniadmins"):
        request_access(
            requester_id=account.id,
            web_id="borealis",
            reason=REASON,
            external_ticket=None,
            duration=timedelta(hours=1),
            runtime=world.runtime,
        )


def test_p13_every_transition_of_the_straight_way_is_on_record(world: World, inside: Inside) -> None:
    """Each state of the machine is entered with its event, in order, and the chains verify."""
    inside.ada.post(f"{ACME}/support-session/leave", follow=True)
    entered = {
        "access.requested": State.PROVISIONING,
        "access.provisioned": State.AWAITING_CONFIRMATION,
        "access.confirmed": State.READY,
        "access.entered": State.ACTIVE,
        "access.ending": State.ENDING,
        "access.ended": State.ENDED,
    }
    told = [entered[event] for event in events(inside.request.id) if event in entered]
    assert told == list(entered.values())
    assert all(following in TRANSITIONS[state] for state, following in pairwise(told))
    assert faults(world) == []
