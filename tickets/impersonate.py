"""Asking to see what one user sees: the user, and nobody else, says yes or no (design §2)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from instances.connectors.base import Entry
from instances.models import VirtualInstance
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.accounts.people import normalised_email
from tempadmin.accounts.queries import in_use
from tempadmin.audit.log import Actor, record
from tempadmin.audit.queries import count_of
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import Runtime
from tickets import announcements, asking, entries, policy
from tickets.models import IMPERSONATION, SUBJECT_SIDE

WRONG_ADDRESS = "impersonation.wrong_address"
NOT_EMBEDDED = (
    "Impersonation is possible on embedded instances only: the users of {name} work in a product of its own, whose "
    "pages are not ours to show. Request admin access instead."
)
NO_SUBJECT = "Nobody with exactly this e-mail can be impersonated on this instance."


@retried_once
def request_impersonation(
    *, requester_id: int, web_id: str, email: str, reason: str, duration: timedelta, runtime: Runtime
) -> asking.Asked:
    """Ask a user for consent to see the instance as they see it.

    A wrong address is written into the customer's record before it is refused: an instance's people are never listed
    outside it, and who tries addresses is seen.

    Raises
    ------
    Forbidden
        When the person may not ask.
    NotFound, Conflict
        When the instance cannot be entered, or an open request stands (``AlreadyOpen``).
    Invalid
        When nobody of this address can be impersonated, or reason or duration cannot be taken.
    RateLimited
        When there were too many requests, or wrong addresses (S35).
    """
    reason, email = policy.checked_reason(reason), normalised_email(email)
    asked = None
    with transaction():
        # Both rows are locked, by ascending id: of a request and the subject's deactivation the later sees the earlier.
        for user_id in sorted({requester_id, *_ids(web_id, email)}):
            lock(User, user_id)
        requester = asking.locked_asker(requester_id)
        now = runtime.now()
        instance = asking.held_instance(web_id)
        refuse_unless_embedded(instance)
        duration = policy.checked_duration(duration, longest=asking.longest_of(instance, runtime))
        asking.refuse_if_open_or_flood(requester_id=requester_id, instance_id=instance.id, kind=IMPERSONATION, now=now)
        policy.refuse_wrong_addresses(
            count_of(WRONG_ADDRESS, instance_id=instance.id, actor_id=requester_id, since=now - timedelta(days=1))
        )
        subject = _subject(instance, email, requester)
        if subject is None:
            _note_wrong_address(requester, instance, email, now)
        else:
            request = asking.add_request(
                kind=IMPERSONATION,
                entry=Entry.PANEL,
                requester=requester,
                instance=instance,
                sides=[SUBJECT_SIDE],
                now=now,
                reason=reason,
                duration_seconds=int(duration.total_seconds()),
                lapses_at=now + runtime.settings.approval_ttl,
                subject_id=subject.id,
                subject_name=subject.full_name,
                account_email=subject.email,
            )
            announcements.tell_asked(request, now=now)
            asked = asking.Asked(id=request.id, public_id=request.public_id, pending=True)
    if asked is None:
        raise Invalid(NO_SUBJECT, field="email")
    return asked


def refuse_unless_embedded(instance: VirtualInstance) -> None:
    """Require that the instance's pages are this service's own to show.

    Raises
    ------
    Conflict
        When its users work in a product of its own.
    """
    if not entries.can_be_impersonated_at(instance):
        raise Conflict(NOT_EMBEDDED.format(name=instance.name))


def _subject(instance: VirtualInstance, email: str, requester: User) -> User | None:
    """Return the user of this address if they can be impersonated: regular, in use, no omniadmin, not oneself."""
    return db.session.scalars(
        select(User).where(
            User.instance_id == instance.id,
            User.email == email,
            User.email != requester.email,
            User.role != OMNIADMIN,
            in_use(),
        )
    ).one_or_none()


def _ids(web_id: str, email: str) -> list[int]:
    here = select(User.id).join(VirtualInstance, VirtualInstance.id == User.instance_id)
    return list(db.session.scalars(here.where(VirtualInstance.web_id == web_id, User.email == email)))


def _note_wrong_address(requester: User, instance: VirtualInstance, email: str, now: datetime) -> None:
    actor = Actor(id=requester.id, name=requester.full_name)
    record(WRONG_ADDRESS, instance_id=instance.id, actor=actor, at=now, typed=email)
