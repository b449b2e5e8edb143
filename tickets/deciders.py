"""Who may say yes or no to a request. Pure: facts in, a side or a refusal out (S33, P9).

Other systems returned silently on a self-approval, or checked it in one of three places. Here every path (page,
command line, job) asks this one function, and it raises.
"""

from __future__ import annotations

from dataclasses import dataclass

from tempadmin.errors import Forbidden, NotFound
from tickets.policy import CUSTOMER_SIDE, OMNIADMIN_SIDE, SUBJECT_SIDE


@dataclass(frozen=True, kw_only=True)
class Decider:
    """The account that would decide."""

    user_id: int
    email: str
    """Normalised: the same address is the same person, on whatever instance (S33)."""
    is_active: bool
    is_temporary: bool
    is_unvouched: bool
    """Made in a support session, and no administrator vouched for it since."""
    in_support_session: bool
    is_omniadmin: bool
    administers: int | None
    """The instance of which it is an administrator."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be decided."""

    instance_id: int
    requester_id: int
    requester_emails: frozenset[str]
    """The requester's address when asking, and the present one."""
    subject_id: int | None
    """Impersonation: the user who is asked."""
    sides: frozenset[str]
    """Whose yes was asked for."""


def side_of(decider: Decider, question: Question) -> str:
    """Return for which side somebody decides.

    Raises
    ------
    NotFound
        When the question is nobody's business of theirs.
    Forbidden
        When it is, and they may not decide it: one's own request under whatever account, a support session, an
        account that a support session made.
    """
    sides = _sides(decider, question)
    if not sides:
        raise NotFound("There is no such request.")
    if not decider.is_active:
        raise Forbidden("Your account is not active any more.")
    if decider.in_support_session or decider.is_temporary:
        raise Forbidden("A support session decides no request.")
    if decider.user_id == question.requester_id or decider.email in question.requester_emails:
        raise Forbidden("Nobody decides their own request, under any of their accounts.")
    if decider.is_unvouched:
        raise Forbidden("Your account was made in a support session. An administrator must vouch for it first.")
    wanted = sides & question.sides
    if not wanted:
        raise Forbidden("This request does not wait for your answer.")
    return min(wanted)


def _sides(decider: Decider, question: Question) -> frozenset[str]:
    sides = set()
    if decider.is_omniadmin:
        sides.add(OMNIADMIN_SIDE)
    if decider.administers == question.instance_id:
        sides.add(CUSTOMER_SIDE)
    if question.subject_id is not None and decider.user_id == question.subject_id:
        sides.add(SUBJECT_SIDE)
    return frozenset(sides)
