"""The checker of histories finds what is broken: each check is given a history or a final state that breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos import checker, explained
from tests.chaos.explained import Limits
from tests.chaos.final import Final
from tests.chaos.history import REFUSED, UNKNOWN, History
from tests.chaos.judge import judge
from tests.chaos.scenes import REQUEST, changed, event, final, history, moment, more, operation, without

LIMITS = Limits(approval=15, idle=6)


def _went_back() -> Final:
    """Confirmed two seconds before it was provisioned, by row and event alike."""
    early = [
        {**row, "occurred_at": moment(-1)} if row["event"] == "access.confirmed" else row for row in final().events
    ]
    return changed(replace(final(), events=early), confirmed_at=moment(-1))


def broken(there: History, state: Final) -> set[str]:
    """The promises that are seen to be broken."""
    return {one.promise for one in judge(there, state, LIMITS) if one.broken}


def test_an_access_that_went_well_breaks_nothing_and_every_check_looked_at_it() -> None:
    """What the other tests break is whole to begin with, and no check passes by looking away."""
    seen = judge(history(), final(), LIMITS)
    assert [one for one in seen if one.broken] == []
    idle = {one.promise for one in seen if not one.checked}
    assert idle == {"P3 no request served after the time limit", "an outage is answered 503 with Retry-After"}


@pytest.mark.parametrize(
    ("state", "promise"),
    [
        (changed(final(), state="ending"), "P1 every account gone (0 looks on the way)"),
        (replace(final(), accounts=["liferay_online_7_8"]), "P1 every account gone (0 looks on the way)"),
        (replace(final(), strays=["account without a request"]), "P1 every account gone (0 looks on the way)"),
        (replace(final(), tickets=[{**final().tickets[0], "used_at": moment(10.05)}]), "P4"),
        (
            replace(final(), events=[*final().events, event("instance.changed", 7.3, name="newer")]),
            "P3 nothing committed after",
        ),
        (replace(final(), events=[*final().events, event("access.entered", 4.06)]), "P2"),
        (without(final(), "access.provisioned"), "P13"),
        (changed(final(), confirmed_at=moment(2.06)), "P13"),
        (_went_back(), "P13"),
        (changed(final(), end_reason="cancelled"), "P13"),
        (replace(final(), runs=["10:00:00", "10:00:00"]), "P14"),
        (replace(final(), mails=[]), "each mail once"),
        (replace(final(), mails=[*final().mails, *final().mails]), "each mail once"),
        (replace(final(), complaints=["event 3 was edited"]), "audit verify"),
        (without(final(), "access.confirmed"), "nothing acknowledged is lost"),
        (without(final(), "instance.changed"), "nothing acknowledged is lost"),
        (without(final(), "access.requested"), "nothing acknowledged is lost"),
        (replace(final(), requests=[], events=[]), "nothing acknowledged is lost"),
        (replace(final(), events=[*final().events, event("access.new_link", 2.5)]), "nothing acknowledged is lost"),
        (changed(final(), end_reason="ended_by_customer"), "the history explains"),
        (changed(final(), end_reason="time_limit"), "the history explains"),
        (changed(final(), end_reason="idle"), "the history explains"),
        (changed(final(), end_reason="lapsed"), "the history explains"),
        (changed(final(), end_reason="provisioning_failed"), "the history explains"),
        (changed(final(), end_reason="cleaned_up"), "the history explains"),
    ],
)
def test_a_broken_final_state_is_found(state: Final, promise: str) -> None:
    """An account that lives on, a lost event, a run too many: each is told under its promise."""
    assert any(one.startswith(promise) for one in broken(history(), state))


@pytest.mark.parametrize(
    ("there", "promise"),
    [
        (more(history(), operation(9, "redeem", 4.01, found_session="s2")), "P2"),
        (more(history(), operation(9, "page", 7.2, cookie="s1")), "P3 no request served after an acknowledged end"),
        (more(history(), operation(9, "depart", 7.2)), "P3 no request served after an acknowledged end"),
        (more(history(), operation(9, "page", 18, cookie="s1")), "P3 no request served after the time limit"),
        (more(history(), operation(9, "redeem", 4.01, person=8, found_session="s1")), "P5"),
        (more(history(), operation(9, "page", 5, outcome=UNKNOWN, found_status=500)), "an outage"),
        (more(history(), operation(9, "page", 5, outcome=UNKNOWN, found_status=503)), "an outage"),
        (more(history(), operation(9, "new_link", 2.5)), "nothing acknowledged is lost"),
        (more(history(), operation(9, "cancel", 1.5)), "the history explains"),
    ],
)
def test_a_broken_history_is_found(there: History, promise: str) -> None:
    """A second session, a page after the end, an acknowledged deed without a trace: each is told under its promise."""
    assert any(one.startswith(promise) for one in broken(there, final()))


def test_p3_a_sign_out_ends_what_that_person_had_asked_for_before() -> None:
    """What comes with an old cookie after an acknowledged sign-out must be refused, too."""
    asked = history().operations[:6]
    out = [operation(7, "sign_out", 7, request=None), operation(8, "page", 8, cookie="s1")]
    found = checker.nothing_after_an_end(History(operations=[*asked, *out]), final())
    assert [one.operations for one in found.broken] == [(7, 8)]
    theirs = [operation(7, "sign_out", 7, request=None, person=8), out[1]]
    assert checker.nothing_after_an_end(History(operations=[*asked, *theirs]), final()).broken == []


def test_what_nobody_knows_the_outcome_of_may_have_happened_or_not() -> None:
    """A lost answer explains an event and needs none; a refused deed explains nothing."""
    lost = [replace(one, outcome=UNKNOWN) if one.kind == "confirm" else one for one in history().operations]
    assert broken(History(operations=lost), final()) == set()
    assert (
        explained.acknowledged_deeds_stand(History(operations=lost), without(final(), "access.confirmed")).broken == []
    )
    refused = [replace(one, outcome=REFUSED) if one.kind == "confirm" else one for one in history().operations]
    assert explained.acknowledged_deeds_stand(History(operations=refused), final()).broken != []


def test_an_event_outside_the_time_of_its_operation_is_nobodys() -> None:
    """What was acknowledged happened between its sending and its answer, and not at any other time."""
    early = replace(final(), events=[*without(final(), "access.new_link").events, event("access.new_link", 2)])
    there = more(history(), operation(9, "new_link", 3))
    words = [one.words for one in explained.acknowledged_deeds_stand(there, early).broken]
    assert [one.partition(":")[0] for one in words] == ["nobody's", "lost"]


@pytest.mark.parametrize(("at", "kept"), [(7.05, False), (11.05, True)])
def test_p10_an_access_that_was_used_until_shortly_before_was_not_idle(at: float, kept: bool) -> None:  # noqa: FBT001
    """Its last served page was sent at 5 s, and the idle limit is 6 s."""
    there = History(operations=history().operations[:5])
    state = changed(without(final(), "instance.changed"), end_reason="idle", ending_at=moment(at))
    assert (explained.ends_are_explained(there, state, LIMITS).broken == []) == kept


def test_replaced_is_explained_by_who_came_in_with_the_old_cookie() -> None:
    """Only a redemption of another request in the browser that held this one's session replaces it."""
    state = changed(final(), end_reason="replaced")
    there = History(operations=history().operations[:6])
    came = operation(9, "redeem", 7, request="r2", cookie="s1", found_session="s2")
    assert explained.ends_are_explained(more(there, came), state, LIMITS).broken == []
    other = operation(9, "redeem", 7, request="r2", cookie="s3", found_session="s2")
    assert [
        one.words.partition(" ")[0] for one in explained.ends_are_explained(more(there, other), state, LIMITS).broken
    ]
    assert REQUEST in explained.ends_are_explained(more(there, other), state, LIMITS).broken[0].words
