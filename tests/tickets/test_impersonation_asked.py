"""Asking to see what one user sees: who can be asked, that only they answer, and that trying addresses is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from instances.models import VirtualInstance
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited
from tests.tickets.asked import (
    ADA,
    HOUR,
    LIAM,
    ROSA,
    People,
    acting,
    answers,
    ask,
    ask_user,
    change,
    gather,
    go_in,
    no,
    outcomes,
    stands,
    told,
    yes,
)
from tests.tickets.evidence import dump, faults
from tests.world import CONSOLE, REASON, World
from tickets import policy
from tickets.approve import approve, reject
from tickets.asking import AlreadyOpen
from tickets.end import end_access
from tickets.impersonate import NO_SUBJECT
from tickets.provision import provision
from tickets.states import EndReason, State

Prepare = Callable[[World, People], str]


@pytest.fixture
def people(world: World) -> People:
    return gather(world)


def changed(**columns: Any) -> Prepare:
    """Liam's address, after something of his account has changed."""

    def prepare(_world: World, people: People) -> str:
        change(User, people.liam, **columns)
        return LIAM

    return prepare


def temporary(world: World, people: People) -> str:
    """The address of a temporary administrator who is there."""
    request_id = ask(world, people.bea)
    assert provision(request_id=request_id, runtime=world.runtime)
    change(User, world.request(request_id).subject_id or 0, active=True)
    return world.request(request_id).account_email or ""


def oneself(_world: World, people: People) -> str:
    """The requester has an account at Acme too."""
    change(User, people.liam, email=ADA)
    return ADA


def at_another(world: World, _people: People) -> str:
    """Somebody of another instance."""
    return world.user(world.instance("birch"), "mia@birch.example").email


NOBODY: dict[str, Prepare] = {
    "unknown": lambda _world, _people: "nobody@acme.example",
    "nearly right": lambda _world, _people: "liam@acme.example.org",
    "a part of it": lambda _world, _people: "iam@acme.example",
    "with a wild card": lambda _world, _people: "l_am@acme.example",
    "an omniadmin": changed(role=OMNIADMIN),
    "inactive": changed(active=False),
    "not joined": changed(password_hash=None),
    "unvouched": changed(made_in_request_id=77),
    "temporary": temporary,
    "oneself": oneself,
    "of another instance": at_another,
}


@pytest.mark.parametrize("whom", NOBODY)
def test_s35_who_cannot_be_impersonated_is_refused_with_one_sentence_and_the_customer_reads_it(
    world: World, people: People, whom: str
) -> None:
    """Same error, same words, same writes, whatever the reason; who tried which address is on the record."""
    typed = NOBODY[whom](world, people)
    before = dump(world)
    with pytest.raises(Invalid) as caught:
        ask_user(world, people.ada, typed)
    assert (caught.value.message, caught.value.field) == (NO_SUBJECT, "email")
    (event,) = told(people.acme, "impersonation.wrong_address")
    assert (event.actor_id, event.actor_name) == (people.ada, "Ada Brandt")
    assert json.loads(event.details)["typed"] == typed
    changed_tables = {name for name, rows in dump(world).items() if rows != before[name]}
    assert changed_tables == {"audit_events", "audit_heads"}
    assert faults(world) == []


@pytest.mark.parametrize("typed", ["LIAM@ACME.example", "  liam@Acme.Example "])
def test_s33_the_same_spelling_is_the_same_person(world: World, people: People, typed: str) -> None:
    """Upper case and blanks around are no other address."""
    request = world.request(ask_user(world, people.ada, typed))
    assert (request.subject_id, request.account_email, request.kind) == (people.liam, LIAM, "impersonation")


@pytest.mark.parametrize("typed", ["", "liam", "liam@acme.example\x00", "liam@acme.example\r\nbcc: x@y.example", "@"])
def test_what_is_no_address_asks_nobody(world: World, people: People, typed: str) -> None:
    """Refused before anything is looked up."""
    with pytest.raises(Invalid):
        ask_user(world, people.ada, typed)
    assert told(people.acme, "access.requested") == []


def test_s35_wrong_addresses_are_capped(world: World, people: People) -> None:
    """Five within a day; then the right one is refused too, and nothing more is learned; for one instance only."""
    for number in range(policy.MOST_WRONG_ADDRESSES):
        with pytest.raises(Invalid):
            ask_user(world, people.ada, f"guess{number}@acme.example")
    for typed in ("another@acme.example", LIAM):
        with pytest.raises(RateLimited) as caught:
            ask_user(world, people.ada, typed)
        assert caught.value.retry_after > 0
    ask_user(world, people.bea)
    world.user(world.instance("birch"), "mia@birch.example")
    ask_user(world, people.ada, "mia@birch.example", "birch")
    world.clock.advance(days=1)
    ask_user(world, people.ada)


def test_s35_users_are_not_worn_out(world: World, people: People) -> None:
    """Three rejections within a day stop both kinds; one open request each; ten open ones in all."""
    for _ in range(policy.MOST_REJECTED):
        no(world, ask_user(world, people.ada), people.liam)
    for again in (partial(ask_user, world, people.ada, ROSA), partial(ask, world, people.ada)):
        with pytest.raises(RateLimited, match="said no"):
            again()
    ask_user(world, people.bea)
    with pytest.raises(AlreadyOpen):
        ask_user(world, people.bea, ROSA)
    ask(world, people.bea)
    for number in range(policy.MOST_OPEN - 2):
        world.user(world.instance(f"other{number}"), f"mia@other{number}.example")
        ask_user(world, people.bea, f"mia@other{number}.example", f"other{number}")
    world.user(world.instance("more"), "mia@more.example")
    with pytest.raises(RateLimited, match="open requests"):
        ask_user(world, people.bea, "mia@more.example", "more")


def test_s35_asking_and_cancelling_a_user_is_capped_per_day(world: World, people: People) -> None:
    """Each question is a mail to somebody."""
    for _ in range(policy.MOST_ASKED):
        request_id = ask_user(world, people.ada)
        actor = acting(people.ada).actor
        end_access(request_id=request_id, reason=EndReason.CANCELLED, actor=actor, runtime=world.runtime)
    with pytest.raises(RateLimited, match="within a day"):
        ask_user(world, people.ada)


@pytest.mark.parametrize("subject", [LIAM, ROSA])
def test_s33_p9_only_the_subject_answers(world: World, people: People, subject: str) -> None:
    """Not their administrator, no omniadmin, not the requester, not the requester's own account there; then they do."""
    request_id = ask_user(world, people.ada, subject)
    whom = people.liam if subject == LIAM else people.rosa
    of_ada = world.administrator(world.default_instance(), "own@operator.example").id
    change(User, of_ada, instance_id=people.acme, email=ADA)
    for who in {people.ada, people.bea, people.rosa, people.max, people.liam, of_ada} - {whom}:
        for decide in (approve, reject):
            with pytest.raises((Forbidden, NotFound)):
                decide(request_id=request_id, acting=acting(who), runtime=world.runtime)
    with pytest.raises(Forbidden):
        approve(request_id=request_id, acting=acting(whom, request_id=request_id), runtime=world.runtime)
    assert answers(request_id) == {("subject", False): None}
    yes(world, request_id, whom)
    assert stands(world, request_id)[0] == State.APPROVED
    go_in(world, request_id, people.ada)
    assert stands(world, request_id)[0] == State.ACTIVE


def test_p9_a_subject_who_became_the_requester_does_not_consent(world: World, people: People) -> None:
    """The address was changed after the question: the same person now, so it is no consent."""
    request_id = ask_user(world, people.ada)
    change(User, people.liam, email=ADA)
    assert outcomes([partial(yes, world, request_id, people.liam)]) == ["Forbidden"]


@pytest.mark.parametrize("who", ["liam", "rosa", "temporary"])
def test_p8_only_omniadmins_ask(world: World, people: People, who: str) -> None:
    """The use case refuses by itself: users, administrators and temporary ones cannot ask, nor those impersonated."""
    other = ask(world, people.bea)
    provision(request_id=other, runtime=world.runtime)
    asker = {"liam": people.liam, "rosa": people.rosa}.get(who, world.request(other).subject_id or 0)
    for again in (partial(ask_user, world, asker, ROSA), partial(ask, world, asker)):
        with pytest.raises(Forbidden):
            again()


def test_impersonation_is_refused_where_the_pages_are_not_ours(world: World, people: People) -> None:
    """An instance with a directory of its own has no pages here that could be seen; nor has the default one."""
    change(VirtualInstance, people.acme, connector="http")
    with pytest.raises(Conflict, match="embedded"):
        ask_user(world, people.ada)
    with pytest.raises(Conflict):
        ask_user(world, people.ada, "bea@operator.example", "operator")


def test_s02_the_page_says_what_the_use_case_says(world: World, people: People) -> None:
    """One sentence at the field, and what was typed stays; six tries are 429."""
    ada = world.signed_in()
    page = f"{CONSOLE}/instances/acme/request-impersonation"
    ada.get(page)
    for number in range(policy.MOST_WRONG_ADDRESSES + 1):
        form = {"email": f"guess{number}@acme.example", "reason": REASON, "duration": str(HOUR.seconds)}
        response = ada.post(page, form)
        assert response.status_code == (400 if number < policy.MOST_WRONG_ADDRESSES else 429)
        assert f"guess{number}@acme.example" in ada.page
        assert (NO_SUBJECT in ada.text) == (number < policy.MOST_WRONG_ADDRESSES)
