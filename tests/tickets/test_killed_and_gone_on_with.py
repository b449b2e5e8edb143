"""P1: the server is killed just before any commit of the main job, and everybody comes back to go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tickets.killed import KilledServer
from tests.tickets.killing import BEFORE
from tests.tickets.servers import wait_for

DEADLINES_SECONDS = 40


@pytest.mark.timeout(240)
def test_p1_killed_before_any_commit_everybody_can_go_on_and_leave(killed: Callable[..., KilledServer]) -> None:
    """What a directory elsewhere was told and we did not write down is caught up with by itself; nobody is stuck."""
    server = killed()
    # While it was being killed nothing ran by itself, so it is the program as it is that heals all of it.
    left = server.kill_everywhere(BEFORE, scheduler="external")
    assert "" in left
    assert {"provisioning", "ending"} <= set(left)
    server.start()
    wait_for(server.is_settled, DEADLINES_SECONDS)
    for person in server.people:
        person.go_on()
    wait_for(server.nothing_is_left, DEADLINES_SECONDS)
    assert len(server.states()) == len(server.people)
    assert server.what_is_wrong() == []
