"""Who may ask, whose yes is needed and how long an access may last: pure decisions (S33, S35, S36, P8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tempadmin.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, RateLimited, Unreadable
from tickets import policy
from tickets.policy import Asker, Lately, Target

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TEN_YEARS = 10 * 365 * 24 * 3600
ASKER = Asker(is_omniadmin=True, is_active=True, is_temporary=False)
TARGET = Target(is_default=False, is_archived=False, require_omniadmin=False, require_customer=False, longest=None)
NOTHING = Lately(open_everywhere=0, asked_here_today=0, rejected_here_today=0)


def test_an_active_omniadmin_may_ask() -> None:
    """And nothing is said against it."""
    policy.refuse_asker(ASKER)


@pytest.mark.parametrize(
    ("asker", "words"),
    [
        (replace(ASKER, is_omniadmin=False), "Only omniadmins can ask for access."),
        (replace(ASKER, is_temporary=True), "Only omniadmins can ask for access."),
        (replace(ASKER, is_omniadmin=False, is_active=False), "Only omniadmins can ask for access."),
        (replace(ASKER, is_active=False), "Your account is not active any more."),
    ],
)
def test_p8_nobody_else_may_ask(asker: Asker, words: str) -> None:
    """Neither other roles, nor temporary accounts, nor who was deactivated; each is told why."""
    with pytest.raises(Forbidden) as caught:
        policy.refuse_asker(asker)
    assert caught.value.message == words


@pytest.mark.parametrize(
    ("below", "at", "words"),
    [
        (Lately(open_everywhere=9, asked_here_today=0, rejected_here_today=0), {"open_everywhere": 10}, "10 open"),
        (Lately(open_everywhere=0, asked_here_today=49, rejected_here_today=0), {"asked_here_today": 50}, "50 times"),
        (
            Lately(open_everywhere=0, asked_here_today=0, rejected_here_today=2),
            {"rejected_here_today": 3},
            "no to you 3",
        ),
    ],
)
def test_s35_each_cap_is_reached_at_its_number_and_not_before(below: Lately, at: dict[str, int], words: str) -> None:
    """Ten open requests, fifty a day and three times no for one instance; past it, too."""
    policy.refuse_flood(below)
    ((name, most),) = at.items()
    for count in (most, most + 1):
        with pytest.raises(RateLimited, match=words) as caught:
            policy.refuse_flood(replace(NOTHING, **{name: count}))
        assert caught.value.retry_after == 3600


def test_instances_that_cannot_be_entered_are_refused() -> None:
    """An archived one is not there; the default one needs no request; an archived default one is not there either."""
    policy.refuse_target(TARGET)
    with pytest.raises(NotFound, match=r"^This instance was archived\.$"):
        policy.refuse_target(replace(TARGET, is_archived=True))
    with pytest.raises(Conflict, match=r"^The default instance needs no access request: you are there already\.$"):
        policy.refuse_target(replace(TARGET, is_default=True))
    with pytest.raises(NotFound):
        policy.refuse_target(replace(TARGET, is_default=True, is_archived=True))


@pytest.mark.parametrize("here", [(a, b) for a in (False, True) for b in (False, True)])
@pytest.mark.parametrize("everywhere", [(a, b) for a in (False, True) for b in (False, True)])
def test_s33_an_instance_only_adds_to_the_operators_minimum(
    here: tuple[bool, bool], everywhere: tuple[bool, bool]
) -> None:
    """Sixteen combinations: whoever is asked for by either must say yes."""
    needed = policy.approvals_needed(
        replace(TARGET, require_omniadmin=here[0], require_customer=here[1]),
        everywhere_omniadmin=everywhere[0],
        everywhere_customer=everywhere[1],
    )
    expected = {"omniadmin"} if here[0] or everywhere[0] else set()
    expected |= {"customer"} if here[1] or everywhere[1] else set()
    assert needed == expected


def test_an_instance_can_only_lower_the_longest_access() -> None:
    """What it says counts when it is less."""
    assert policy.longest_duration(everywhere=8 * HOUR, here=None) == 8 * HOUR
    assert policy.longest_duration(everywhere=8 * HOUR, here=HOUR) == HOUR
    assert policy.longest_duration(everywhere=8 * HOUR, here=24 * HOUR) == 8 * HOUR


def test_the_duration_field_always_offers_the_default() -> None:
    """In order, each once, none longer than the longest; a longest of its own is not offered by itself."""
    offered = [15, 30, 60, 120, 240, 480]
    assert policy.durations_offered(default=HOUR, longest=8 * HOUR) == [one * MINUTE for one in offered]
    assert policy.durations_offered(default=45 * MINUTE, longest=HOUR) == [one * MINUTE for one in (15, 30, 45, 60)]
    assert policy.durations_offered(default=HOUR, longest=10 * MINUTE) == [10 * MINUTE]
    assert policy.durations_offered(default=HOUR, longest=24 * HOUR)[-3:] == [8 * HOUR, 12 * HOUR, 24 * HOUR]


@pytest.mark.parametrize(
    ("asked", "taken"),
    [(timedelta(seconds=1), 1), (timedelta(seconds=1.9), 1), (HOUR, 3600), (timedelta(seconds=59.999), 59)],
)
def test_a_duration_is_taken_in_whole_seconds(asked: timedelta, taken: int) -> None:
    """From one second up to the longest itself."""
    assert policy.checked_duration(asked, longest=HOUR) == timedelta(seconds=taken)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (timedelta(0), "An access lasts a second or more."),
        (timedelta(seconds=0.9), "An access lasts a second or more."),
        (timedelta(seconds=-5), "An access lasts a second or more."),
        (timedelta(seconds=3600.5), "An access here lasts 60 minutes at most. Choose a shorter time."),
        (timedelta(days=9999), "An access here lasts 60 minutes at most. Choose a shorter time."),
    ],
)
def test_a_duration_out_of_range_is_refused_beside_its_field(asked: timedelta, words: str) -> None:
    """With the limit in words."""
    with pytest.raises(Invalid) as caught:
        policy.checked_duration(asked, longest=HOUR)
    assert (caught.value.message, caught.value.field) == (words, "duration")


def test_s35_a_reason_keeps_its_lines_and_loses_what_nobody_sees() -> None:
    """Ends are trimmed, line ends become one kind, other control characters blanks, inside as well."""
    assert policy.checked_reason("  First line.\r\nSecond\rthird\x00x\x1b[31m.\t ") == (
        "First line.\nSecond\nthird x [31m."
    )


@pytest.mark.parametrize("length", [10, 2000])
def test_s35_both_ends_of_the_range_belong_to_it(length: int) -> None:
    """What is trimmed does not count."""
    assert policy.checked_reason(" " * 50 + "x" * length + "\n" * 50) == "x" * length


@pytest.mark.parametrize("length", [9, 2001])
def test_s35_a_reason_of_the_wrong_size_is_told_its_size(length: int) -> None:
    """Counted after trimming, in words that a person can act on."""
    with pytest.raises(Invalid) as caught:
        policy.checked_reason(" " * 50 + "x" * length + " " * 50)
    assert caught.value.field == "reason"
    assert caught.value.message == (
        f"Give a reason of 10 to 2,000 characters; the customer reads it. This one has {length:,}."
    )


def test_an_external_ticket_is_one_line_of_at_most_200_characters() -> None:
    """Nothing, blanks and control characters alone are none."""
    assert policy.checked_external_ticket("  HELP-1\r\n\x00 and  HELP-2 ") == "HELP-1 and HELP-2"
    assert policy.checked_external_ticket("x" * 200) == "x" * 200
    for empty in (None, "", " \n\x00"):
        assert policy.checked_external_ticket(empty) is None
    with pytest.raises(DomainError) as caught:
        policy.checked_external_ticket("x" * 201)
    assert isinstance(caught.value, Invalid)
    assert (caught.value.field, caught.value.message) == ("external_ticket", "Give at most 200 characters.")


@pytest.mark.parametrize("value", [None, 0, 1, "", "true", 2, "perhaps"])
def test_s36_a_switch_that_is_neither_on_nor_off_is_not_guessed(value: object) -> None:
    """Whoever cannot read a policy denies, with a sentence that says what to do."""
    assert policy.read_flag(True) is True
    assert policy.read_flag(False) is False
    with pytest.raises(Unreadable, match=r"not allowed\. Run: tempadmin doctor$"):
        policy.read_flag(value)


@pytest.mark.parametrize("value", [None, 0, -1, 1.0, True, "60", "soon", TEN_YEARS + 1])
def test_s36_a_length_of_time_that_is_none_is_not_guessed(value: object) -> None:
    """Whole seconds from one to ten years, and nothing else."""
    assert policy.read_seconds(1) == timedelta(seconds=1)
    assert policy.read_seconds(TEN_YEARS) == timedelta(days=3650)
    with pytest.raises(Unreadable, match=r"not allowed\. Run: tempadmin doctor$"):
        policy.read_seconds(value)


@pytest.mark.parametrize("today", [5, 6, 500])
def test_s35_wrong_addresses_are_capped_at_five_a_day(today: int) -> None:
    """So that nobody finds an instance's people out by trying."""
    policy.refuse_wrong_addresses(4)
    with pytest.raises(RateLimited, match=r"^You gave 5 wrong addresses here within a day\. Ask the user;") as caught:
        policy.refuse_wrong_addresses(today)
    assert caught.value.retry_after == 3600
