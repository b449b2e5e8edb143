"""The life of an access request: its states, and which may follow which (design §2). Pure.

``ending`` and ``ended`` absorb: nothing leads back from them, so a late approval, confirmation or redemption finds no
way in, and an end beats everything.
"""

from __future__ import annotations

from enum import StrEnum

from tempadmin.errors import Unreadable


class State(StrEnum):
    """Where an access request stands."""

    PENDING_APPROVAL = "pending_approval"
    APPROVED = "approved"
    PROVISIONING = "provisioning"
    AWAITING_CONFIRMATION = "awaiting_confirmation"
    READY = "ready"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"

    @classmethod
    def _missing_(cls, value: object) -> State:
        """Refuse to go on with a state that is none (S36)."""
        raise Unreadable("This request's state cannot be read. Run: tempadmin doctor")


class EndReason(StrEnum):
    """Why an access ended."""

    LOGOUT = "logout"
    CANCELLED = "cancelled"
    NOT_ME = "not_me"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    TIME_LIMIT = "time_limit"
    IDLE = "idle"
    PROVISIONING_FAILED = "provisioning_failed"
    ENDED_BY_REQUESTER = "ended_by_requester"
    ENDED_BY_OMNIADMIN = "ended_by_omniadmin"
    ENDED_BY_CUSTOMER = "ended_by_customer"
    ENDED_BY_SUBJECT = "ended_by_subject"
    SUBJECT_CHANGED = "subject_changed"
    POLICY_CHANGED = "policy_changed"
    REPLACED = "replaced"
    REQUESTER_SIGNED_OUT = "requester_signed_out"
    REQUESTER_DISABLED = "requester_disabled"
    CREDENTIALS_CHANGED = "credentials_changed"
    INSTANCE_ARCHIVED = "instance_archived"
    CLEANED_UP = "cleaned_up"
    RESTORED = "restored"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING_APPROVAL: frozenset({State.APPROVED, State.ENDING}),
    State.APPROVED: frozenset({State.PROVISIONING, State.ENDING}),
    State.PROVISIONING: frozenset({State.AWAITING_CONFIRMATION, State.ENDING}),
    State.AWAITING_CONFIRMATION: frozenset({State.READY, State.ENDING}),
    State.READY: frozenset({State.ACTIVE, State.ENDING}),
    State.ACTIVE: frozenset({State.ENDING}),
    State.ENDING: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}

OPEN = frozenset(state for state, following in TRANSITIONS.items() if State.ENDING in following)
"""Every state before ``ending``: the access may still come about, or goes on."""

WITH_TICKET = {State.AWAITING_CONFIRMATION: "confirm", State.READY: "login"}
"""The states that live as long as a ticket does, and the ticket's purpose."""


WITH_DEADLINE = frozenset({State.PENDING_APPROVAL, State.APPROVED})
"""The states that wait for somebody until ``lapses_at``."""


def may_follow(state: State, following: State) -> bool:
    """Tell whether a request may go from one state to another."""
    return following in TRANSITIONS[state]
