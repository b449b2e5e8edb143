"""P1: the server is killed just after any commit of the main job, and nobody ever comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tickets.killed import KilledServer
from tests.tickets.killing import AFTER
from tests.tickets.servers import wait_for
from tickets.states import State

LEASE_AND_LIMITS_SECONDS = 60


@pytest.mark.timeout(240)
def test_p1_killed_after_any_commit_and_left_alone_all_of_it_ends_by_itself(
    killed: Callable[..., KilledServer],
) -> None:
    """Each start meets what the last kill left, its leader's lease too; in the end no account, session or ticket is."""
    server = killed(ticket_ttl="15", idle_timeout="5")
    left = server.kill_everywhere(AFTER)
    between = [State.PROVISIONING, State.AWAITING_CONFIRMATION, State.READY, State.ACTIVE, State.ENDING, State.ENDED]
    assert list(dict.fromkeys(left)) == between
    server.start()
    wait_for(server.nothing_is_left, LEASE_AND_LIMITS_SECONDS)
    assert server.what_is_wrong() == []
