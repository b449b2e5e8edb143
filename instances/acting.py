"""Who makes the present request, as use cases about an instance want to know it."""

from __future__ import annotations

from instances.directory import Acting
from tempadmin.accounts import login
from tempadmin.errors import NotFound


def acting_now() -> Acting:
    """Return the account, the real person, and the request of a support session; behind a rule with roles only.

    Raises
    ------
    NotFound
        When nobody is signed in.
    """
    session = login.acting_session()
    if session is None:
        raise NotFound("You are not signed in.")
    return Acting(
        user_id=session.user_id,
        instance_id=session.instance_id,
        actor=login.actor(),
        request_id=session.access_request_id,
    )
