"""S25, S33: what a support session made decides nothing until an administrator who was not made so vouches for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from instances import directory, inviting
from instances.vouching import vouch
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, User
from tempadmin.db import db
from tempadmin.errors import Conflict, Forbidden, NotFound
from tests.tickets.asked import ACME, People, acting, answers, ask, change, gather, go_in_as, outcomes, told, yes
from tests.tickets.evidence import at_once, faults
from tests.world import PASSWORD, World
from tickets.asking import can_answer
from tickets.change_policy import change_policy

XENIA = "xenia@acme.example"


@pytest.fixture
def people(world: World) -> People:
    return gather(world, require_customer=True)


@pytest.fixture
def support(world: World, people: People) -> int:
    """The request of a support session that sees Acme as its administrator Max."""
    return go_in_as(world, people, "max@acme.example")[0]


def invited(world: World, people: People, support: int | None, by: int = 0, email: str = XENIA) -> int:
    """Invite an administrator, who joins; return their id."""
    who = acting(by or people.max, request_id=support)
    made = inviting.invite(acting=who, email=email, full_name="Xenia Holm", role=ADMINISTRATOR, runtime=world.runtime)
    user_id = made.user_id
    change(User, user_id, password_hash=db.session.get_one(User, people.rosa).password_hash)
    return user_id


def one(user_id: int) -> User:
    db.session.rollback()
    return db.session.get_one(User, user_id)


Made = Callable[[World, People, int], int]


def reactivated(world: World, people: People, support: int) -> int:
    user_id = invited(world, people, None, by=people.rosa)
    directory.deactivate(acting=acting(people.rosa), user_id=user_id, runtime=world.runtime)
    directory.activate(acting=acting(people.max, request_id=support), user_id=user_id, runtime=world.runtime)
    return user_id


def of_an_unvouched(world: World, people: People, support: int) -> int:
    """Support's own invention invites the next."""
    between = invited(world, people, support, email="between@acme.example")
    return invited(world, people, None, by=between)


def let_in_by_an_unvouched(world: World, people: People, support: int) -> int:
    between = invited(world, people, support, email="between@acme.example")
    user_id = invited(world, people, None, by=people.rosa)
    directory.deactivate(acting=acting(people.rosa), user_id=user_id, runtime=world.runtime)
    directory.activate(acting=acting(between), user_id=user_id, runtime=world.runtime)
    return user_id


MADE: dict[str, Made] = {
    "invited": invited,
    "let in again": reactivated,
    "invited by one of them": of_an_unvouched,
    "let in again by one of them": let_in_by_an_unvouched,
}


@pytest.mark.parametrize("how", MADE)
def test_s25_s33_p9_who_was_made_in_a_support_session_decides_nothing(
    world: World, people: People, support: int, how: str
) -> None:
    """No answer, no policy, no vouching for anybody; nor counted as somebody who could; vouched for, all of it."""
    xenia = MADE[how](world, people, support)
    other = invited(world, people, support, email="other@acme.example")
    request_id = ask(world, people.bea)
    policy = partial(change_policy, require_customer=True, longest=None, runtime=world.runtime)
    tries: list[Callable[[], object]] = [
        lambda: yes(world, request_id, xenia),
        lambda: policy(acting=acting(xenia)),
        lambda: vouch(acting=acting(xenia), user_id=other, runtime=world.runtime),
        lambda: vouch(acting=acting(xenia), user_id=xenia, runtime=world.runtime),
    ]
    assert outcomes(tries) == ["Forbidden"] * 4
    assert answers(request_id) == {("customer", False): None}
    for person in (people.rosa, people.max):
        change(User, person, active=False)
    assert not can_answer("customer", requester=one(people.ada), instance_id=people.acme)
    change(User, people.rosa, active=True)
    vouch(acting=acting(people.rosa), user_id=xenia, runtime=world.runtime)
    change(User, people.rosa, active=False)
    assert can_answer("customer", requester=one(people.ada), instance_id=people.acme)
    assert outcomes(tries[:3]) == ["done"] * 3
    assert one(xenia).made_in_request_id == support
    assert [event.actor_id for event in told(people.acme, "user.vouched_for")] == [people.rosa, xenia]
    assert faults(world) == []


def test_s25_an_invitation_of_the_customers_own_is_not_marked(world: World, people: People) -> None:
    """Administrators make administrators."""
    xenia = invited(world, people, None, by=people.rosa)
    assert not one(xenia).unvouched
    yes(world, ask(world, people.ada), xenia)


def test_s25_an_unvouched_administrator_gives_nobody_a_role(world: World, people: People, support: int) -> None:
    """Or a member of the customer's would be what support could not make: an administrator who counts."""
    xenia = invited(world, people, support)
    edit = partial(directory.edit, user_id=people.liam, full_name="Liam", runtime=world.runtime)
    with pytest.raises(Forbidden, match="vouch"):
        edit(acting=acting(xenia), role=ADMINISTRATOR)
    edit(acting=acting(xenia), role=MEMBER)
    assert (one(people.liam).role, one(people.liam).changed_in_request_id) == (MEMBER, support)
    edit(acting=acting(people.rosa), role=ADMINISTRATOR)


def test_s25_nobody_is_left_alone_with_an_administrator_who_was_made_in_support(
    world: World, people: People, support: int
) -> None:
    """The last one who can answer for the instance is not deactivated in favour of one who cannot."""
    xenia = invited(world, people, support)
    change(User, people.max, active=False)
    for who in (acting(people.max, request_id=support), acting(xenia)):
        with pytest.raises(Conflict, match="last active administrator"):
            directory.deactivate(acting=who, user_id=people.rosa, runtime=world.runtime)
    change(User, people.max, active=True)
    change(User, people.rosa, active=False)
    vouch(acting=acting(people.max), user_id=xenia, runtime=world.runtime)
    directory.deactivate(acting=acting(xenia), user_id=people.max, runtime=world.runtime)


def test_s25_what_support_changed_is_marked_until_somebody_vouches(world: World, people: People, support: int) -> None:
    """A changed account keeps its say; its mark is shown and goes once, and a second vouching has nothing to do."""
    inside = acting(people.max, request_id=support)
    directory.edit(acting=inside, user_id=people.rosa, full_name="Rosa V.", role=None, runtime=world.runtime)
    assert one(people.rosa).changed_in_request_id == support
    yes(world, ask(world, people.ada), people.rosa)
    rosa = world.signed_in("rosa@acme.example", ACME)
    rosa.get("/support-access")
    assert "changed by support" in rosa.text
    with pytest.raises(Forbidden, match="their own"):
        vouch(acting=acting(people.rosa), user_id=people.rosa, runtime=world.runtime)
    vouch(acting=acting(people.max), user_id=people.rosa, runtime=world.runtime)
    assert one(people.rosa).changed_in_request_id is None
    for _ in range(2):
        with pytest.raises(Conflict, match="nothing to vouch for"):
            vouch(acting=acting(people.max), user_id=people.rosa, runtime=world.runtime)


@pytest.mark.parametrize("who", ["support", "support as another", "member", "stranger", "omniadmin", "nobody"])
def test_s25_only_a_trusted_administrator_of_the_instance_vouches(
    world: World, people: People, support: int, who: str
) -> None:
    """The use case refuses by itself; the mark stays."""
    xenia = invited(world, people, support)
    stranger = world.administrator(world.instance("birch"), "stan@birch.example").id
    whom = {"member": people.liam, "stranger": stranger, "omniadmin": people.ada}.get(who, people.max)
    whom = people.rosa if who == "support as another" else whom
    one_acting = acting(whom, request_id=support if who.startswith("support") else None)
    one_acting = one_acting.__class__(
        user_id=None if who == "nobody" else whom,
        instance_id=people.acme,
        actor=one_acting.actor,
        request_id=one_acting.request_id,
    )
    with pytest.raises(Forbidden):
        vouch(acting=one_acting, user_id=xenia, runtime=world.runtime)
    assert one(xenia).unvouched
    if who == "stranger":
        with pytest.raises(NotFound):
            vouch(acting=acting(stranger), user_id=xenia, runtime=world.runtime)


def test_s25_two_who_vouch_at_once_vouch_once(world: World, people: People, support: int) -> None:
    """One is told that there is nothing left to vouch for; two who vouch for each other do not lock each other out."""
    change(User, people.rosa, changed_in_request_id=support)
    change(User, people.max, changed_in_request_id=support)
    change(User, people.liam, changed_in_request_id=support)

    def click(by: int, whom: int) -> Callable[[], str]:
        who = acting(by)

        def call() -> str:
            with world.app.app_context():
                found = outcomes([partial(vouch, acting=who, user_id=whom, runtime=world.runtime)])
                db.session.remove()
                return found[0]

        return call

    assert sorted(at_once([click(people.rosa, people.liam), click(people.max, people.liam)])) == ["Conflict", "done"]
    assert at_once([click(people.rosa, people.max), click(people.max, people.rosa)]) == ["done", "done"]
    assert len(told(people.acme, "user.vouched_for")) == 3
    assert faults(world) == []


def test_s25_the_page_of_an_unvouched_administrator_offers_nothing(world: World, people: People, support: int) -> None:
    """They sign in, see what happens and that somebody must vouch for them; their posts are refused."""
    invited(world, people, support)
    request = world.request(ask(world, people.bea))
    public_id = request.public_id
    xenia = world.browser(ACME)
    xenia.get("/login")
    xenia.post("/login", {"email": XENIA, "password": PASSWORD}, follow=True)
    xenia.get("/support-access")
    assert f"{public_id}/approve" not in xenia.page
    assert "policy" not in [form.split('"')[0].rpartition("/")[2] for form in xenia.page.split('action="')[1:]]
    for path in (f"{public_id}/approve", f"{public_id}/reject", "policy", f"accounts/{people.rosa}/vouch"):
        assert xenia.post(f"/support-access/{path}", {"longest": "0"}).status_code == 403, path
