"""The machine's table, written once more by hand from design §2: what may follow what, and what is open."""

from __future__ import annotations

from itertools import product

import pytest

from tempadmin.errors import Unreadable
from tickets.models import CONFIRM, LOGIN
from tickets.states import OPEN, TRANSITIONS, WITH_TICKET, EndReason, State, may_follow

FOLLOWING = {
    "pending_approval": {"approved", "ending"},
    "approved": {"provisioning", "ending"},
    "provisioning": {"awaiting_confirmation", "ending"},
    "awaiting_confirmation": {"ready", "ending"},
    "ready": {"active", "ending"},
    "active": {"ending"},
    "ending": {"ended"},
    "ended": set(),
}
REASONS = {
    "logout",
    "policy_changed",
    "subject_changed",
    "ended_by_subject",
    "cancelled",
    "not_me",
    "rejected",
    "lapsed",
    "time_limit",
    "idle",
    "provisioning_failed",
    "ended_by_requester",
    "ended_by_omniadmin",
    "ended_by_customer",
    "replaced",
    "requester_signed_out",
    "requester_disabled",
    "credentials_changed",
    "instance_archived",
    "cleaned_up",
    "restored",
}


@pytest.mark.parametrize(("state", "following"), [*product(FOLLOWING, FOLLOWING)])
def test_a_state_is_followed_by_what_the_design_says_and_by_nothing_else(state: str, following: str) -> None:
    """Each of the 64 pairs."""
    assert may_follow(State(state), State(following)) == (following in FOLLOWING[state])


def test_the_machine_has_the_designs_states_and_no_others() -> None:
    """The database stores these words, so none may change; each has its line in the table."""
    assert {str(state) for state in State} == set(FOLLOWING) == {str(state) for state in TRANSITIONS}


def test_reasons_of_ends_keep_their_words() -> None:
    """They are stored, shown and searched for."""
    assert {str(reason) for reason in EndReason} == REASONS


def test_open_is_every_state_before_ending() -> None:
    """Every open state also leaves by cancel, role loss and archiving."""
    assert {str(state) for state in OPEN} == set(FOLLOWING) - {"ending", "ended"}
    assert all(may_follow(state, State.ENDING) for state in OPEN)


def test_two_states_live_as_long_as_a_ticket() -> None:
    """And each as long as the ticket of its own purpose."""
    assert WITH_TICKET == {"awaiting_confirmation": CONFIRM, "ready": LOGIN}


@pytest.mark.parametrize("value", ["", "unheard_of", "ACTIVE", " active", "None"])
def test_s36_a_state_that_is_none_is_denied(value: str) -> None:
    """With a sentence that says what to do; never taken for another."""
    with pytest.raises(Unreadable, match=r"^This request's state cannot be read\. Run: tempadmin doctor$"):
        State(value)
