"""What people and jobs press, made beforehand and called in a thread and context of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from instances.directory import Acting
from instances.registry import archive_instance
from tempadmin.accounts import omniadmins
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.errors import DomainError
from tests.tickets.asked import (
    ADA,
    HOUR,
    People,
    acting,
)
from tests.world import REASON, World
from tickets.change_policy import change_policy
from tickets.end import end_access
from tickets.extend import extend
from tickets.start import start
from tickets.states import EndReason

Call = Callable[[World], object]
BOTH = {"require_customer": True, "require_omniadmin": True}


def outcome(world: World, call: Call) -> str:
    """Make a call in a context of its own; return ``done``, or what it was told."""
    with world.app.app_context():
        try:
            call(world)
        except DomainError as error:
            return f"{type(error).__name__}: {error.message}"
        finally:
            db.session.remove()
        return "done"


def press(how: Callable[..., object], who: Acting, **ids: int) -> Call:
    return lambda world: how(acting=who, runtime=world.runtime, **ids)


def begins(request_id: int, people: People) -> Call:
    return lambda world: start(request_id=request_id, user_id=people.ada, runtime=world.runtime)


def asks_for_more(request_id: int, person: int, code: str, added: timedelta = HOUR) -> Call:
    return lambda world: extend(
        request_id=request_id, user_id=person, reason=REASON, added=added, answer=code, runtime=world.runtime
    )


def cancels(request_id: int) -> Call:
    return lambda world: end_access(
        request_id=request_id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime
    )


def disables(world: World) -> Call:
    home = world.default_instance().id
    return lambda one: omniadmins.disable_omniadmin(instance_id=home, email=ADA, runtime=one.runtime)


def archives(world: World) -> object:
    return archive_instance(web_id="acme", actor=SERVICE, runtime=world.runtime)


def tightens(people: People) -> Call:
    who, longest = acting(people.max), timedelta(minutes=59)
    return lambda world: change_policy(acting=who, require_customer=True, longest=longest, runtime=world.runtime)
