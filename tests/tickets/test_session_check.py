"""S20: a support session asks its request on every page, and not only itself."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from instances.models import VirtualInstance
from tempadmin.db import transaction
from tests.world import World
from tickets.models import AccessRequest
from tickets.states import State

ACME = "http://acme.localhost:8000"


@pytest.mark.parametrize("state", [State.ENDING, State.ENDED, State.READY])
def test_s20_p3_a_session_whose_request_is_not_active_is_refused(
    world: World, acme: VirtualInstance, state: State
) -> None:
    """Should a session's own row ever be forgotten at an end, its request still keeps it out."""
    ada = world.signed_in()
    request = world.enter(ada)
    assert ada.get(ACME + "/users").status_code == 200
    reason = "logout" if state in (State.ENDING, State.ENDED) else None
    with transaction() as session:
        behind = update(AccessRequest).where(AccessRequest.id == request.id)
        session.execute(behind.values(state=state, end_reason=reason))
    assert ada.get(ACME + "/users").status_code in (302, 303)
    assert ada.post(ACME + "/users/invite", {"email": "x@acme.example"}).status_code == 403
