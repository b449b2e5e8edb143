"""S33, P9: who may say yes or no, every combination of what an account can be, beside a rule written from the issue."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations, product

import pytest

from tempadmin.errors import Forbidden, NotFound
from tickets.deciders import Decider, Question, side_of
from tickets.models import CUSTOMER_SIDE, OMNIADMIN_SIDE, SUBJECT_SIDE

HERE, ELSEWHERE, ASKER, SUBJECT, SOMEBODY = 7, 8, 1, 30, 50
ALL_SIDES = (OMNIADMIN_SIDE, CUSTOMER_SIDE, SUBJECT_SIDE)
ASKED = list(chain.from_iterable(combinations(ALL_SIDES, number) for number in range(4)))

SOMEBODY_ELSE = Decider(
    user_id=SOMEBODY,
    email="somebody@acme.example",
    is_active=True,
    is_temporary=False,
    is_unvouched=False,
    in_support_session=False,
    is_omniadmin=False,
    administers=None,
)
QUESTION = Question(
    instance_id=HERE,
    requester_id=ASKER,
    requester_emails=frozenset({"ada@operator.example", "ada.new@operator.example"}),
    subject_id=SUBJECT,
    sides=frozenset({OMNIADMIN_SIDE}),
)
FLAWS = ("inactive", "temporary", "unvouched", "in a support session", "the requester", "the requester's address")


def flawed(decider: Decider, flaws: tuple[str, ...]) -> Decider:
    """The same account with what keeps it from deciding."""
    changes: dict[str, object] = {
        "inactive": {"is_active": False},
        "temporary": {"is_temporary": True},
        "unvouched": {"is_unvouched": True},
        "in a support session": {"in_support_session": True},
        "the requester": {"user_id": ASKER},
        "the requester's address": {"email": "ada.new@operator.example"},
    }
    for flaw in flaws:
        decider = replace(decider, **changes[flaw])  # type: ignore[arg-type]
    return decider


@pytest.mark.parametrize("sides", ASKED, ids=lambda sides: "+".join(sides) or "nobody")
def test_s33_p9_only_a_sound_account_on_a_side_that_was_asked_decides(sides: tuple[str, ...]) -> None:
    """All 3 × 2 × 64 accounts for each set of sides: one flaw is enough, whatever else is true."""
    question = replace(QUESTION, sides=frozenset(sides))
    every = list(chain.from_iterable(combinations(FLAWS, number) for number in range(len(FLAWS) + 1)))
    for omniadmin, administers, is_subject, flaws in product(
        (False, True), (None, HERE, ELSEWHERE), (False, True), every
    ):
        decider = replace(
            SOMEBODY_ELSE,
            user_id=SUBJECT if is_subject else SOMEBODY,
            is_omniadmin=omniadmin,
            administers=administers,
        )
        decider = flawed(decider, flaws)
        stands_on = {
            *([OMNIADMIN_SIDE] if omniadmin else []),
            *([CUSTOMER_SIDE] if administers == HERE else []),
            *([SUBJECT_SIDE] if decider.user_id == SUBJECT else []),
        }
        if not flaws and stands_on & set(sides):
            assert side_of(decider, question) in stands_on & set(sides)
            continue
        with pytest.raises(Forbidden if stands_on else NotFound):
            side_of(decider, question)


@pytest.mark.parametrize("flaw", FLAWS)
def test_s33_each_refusal_says_what_it_is(flaw: str) -> None:
    """Nobody wonders why: own requests, support sessions, unvouched and deactivated accounts are told apart."""
    words = {
        "inactive": "not active",
        "temporary": "support session",
        "unvouched": "vouch",
        "in a support session": "support session",
        "the requester": "own request",
        "the requester's address": "own request",
    }
    with pytest.raises(Forbidden, match=words[flaw]):
        side_of(flawed(replace(SOMEBODY_ELSE, is_omniadmin=True), (flaw,)), QUESTION)


def test_p9_the_subject_of_an_admin_access_is_nobody_who_is_asked() -> None:
    """The temporary account of a request has no side; nor has anybody when no subject is asked."""
    nobody = replace(QUESTION, subject_id=None, sides=frozenset({SUBJECT_SIDE}))
    with pytest.raises(NotFound):
        side_of(replace(SOMEBODY_ELSE, user_id=SUBJECT), nobody)


@pytest.mark.parametrize("role", ["omniadmin", "administrator"])
def test_s33_a_users_consent_is_not_given_by_their_administrator_nor_by_an_omniadmin(role: str) -> None:
    """Impersonation asks the subject alone."""
    asked = replace(QUESTION, sides=frozenset({SUBJECT_SIDE}))
    decider = replace(
        SOMEBODY_ELSE, is_omniadmin=role == "omniadmin", administers=HERE if role == "administrator" else None
    )
    with pytest.raises(Forbidden, match="does not wait for your answer"):
        side_of(decider, asked)
