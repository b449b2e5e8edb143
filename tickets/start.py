"""Starting what was approved: only now a ticket's clock runs, because only now somebody looks (design §2)."""

from __future__ import annotations

from datetime import datetime, timedelta

from instances.models import VirtualInstance
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.audit.log import Actor, record
from tempadmin.db import fresh, lock, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, NotFound
from tempadmin.runtime import Runtime
from tickets import asking, tokens
from tickets.machine import locked, move
from tickets.models import IMPERSONATION, AccessRequest
from tickets.provision import await_confirmation
from tickets.states import State


@retried_once
def start(*, request_id: int, user_id: int, runtime: Runtime) -> None:
    """Go on with one's own approved request; an account is wanted from now on, or, to impersonate, a confirmation.

    Raises
    ------
    NotFound
        When the request is not this person's.
    Forbidden
        When the person is no active omniadmin any more.
    Conflict
        When it does not wait for Start, or the policy meanwhile wants a yes that was not given.
    """
    with transaction():
        requester, request, now = locked_own(request_id=request_id, user_id=user_id, runtime=runtime)
        if request.state != State.APPROVED or request.lapses_at is None or now >= request.lapses_at:
            raise Conflict("This request does not wait for Start. Its page shows where it stands.")
        refuse_unless_approved(request, runtime=runtime)
        move(request, State.PROVISIONING, now=now, provisioning_at=now, next_attempt_at=now, lapses_at=None)
        actor = Actor(id=requester.id, name=requester.full_name)
        record("access.started", instance_id=request.instance_id, actor=actor, at=now, request_id=request.id)
        if request.kind == IMPERSONATION:
            await_confirmation(request, now=now, runtime=runtime)


def locked_own(*, request_id: int, user_id: int, runtime: Runtime) -> tuple[User, AccessRequest, datetime]:
    """Lock a person and their own request; return both and the time at which the locks were held.

    Raises
    ------
    NotFound, Forbidden
        As ``start``.
    """
    user = lock(User, user_id)
    request = locked(request_id)
    now = runtime.now()
    if user is None:
        raise NotFound("There is no such request.")
    refuse_stranger(user, request)
    return user, request, now


def refuse_stranger(user: User, request: AccessRequest | tokens.Found) -> None:
    """Require that a request is this person's own, and that they may still go on with it.

    Raises
    ------
    NotFound, Forbidden
        As ``start``.
    """
    if request.requester_id != user.id:
        raise NotFound("There is no such request.")
    if user.role != OMNIADMIN or not user.active or user.temporary:
        raise Forbidden("Only active omniadmins can go on with a request.")


def refuse_unless_approved(request: AccessRequest, *, runtime: Runtime) -> None:
    """Require what the policy wants now, settings included, which may have changed since it was asked.

    Raises
    ------
    Conflict
        When a yes is missing, or the access would last too long.
    """
    instance = fresh(VirtualInstance, request.instance_id)
    if instance is None:
        raise Conflict("The instance cannot be found.")
    if timedelta(seconds=request.duration_seconds) > asking.longest_of(instance, runtime):
        raise Conflict("The policy of this instance allows a shorter time only now. Cancel this request and ask anew.")
    if asking.sides_missing(request, instance, runtime=runtime):
        raise Conflict("The policy of this instance wants another yes now. Cancel this request and ask anew.")
