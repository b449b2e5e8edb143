"""P10: what support does keeps its session alive, to the second, however long it takes; looking by itself does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tempadmin.accounts.models import ADMINISTRATOR, MEMBER
from tempadmin.runtime import current_runtime
from tempadmin.web.guard import allow
from tests.conftest import Build
from tests.tickets.evidence import ACME
from tests.tickets.watched import both_kinds, enter, people
from tests.world import World
from tickets.expire import expire_due
from tickets.models import TEMPORARY_ADMIN
from tickets.states import EndReason, State

IDLE = 30 * 60
HOURS = "28800"


def slow_views(world: World) -> None:
    """Add an address whose view takes as many seconds as it says, while the expiry job runs every ten."""

    @allow(MEMBER, ADMINISTRATOR, place="customer", support=True)
    def slow(seconds: int) -> str:
        for _ in range(0, seconds, 10):
            world.clock.advance(seconds=10)
            expire_due(current_runtime())
        return "done"

    world.app.add_url_rule("/slow/<int:seconds>", "slow", slow)
    people(world)


@both_kinds
def test_p10_a_session_in_use_is_never_ended_for_idleness(world: World, kind: str) -> None:
    """Each request counts, refused and unknown ones too: a click in the limit's last second begins it anew."""
    people(world)
    inside = enter(world, kind, duration=HOURS)
    for path in ("/users", "/nowhere", "/account", "/settings"):
        for pause in (IDLE / 2 - 1, IDLE - 1):
            world.clock.advance(seconds=pause)
            assert expire_due(world.runtime) == "0 ended", (path, pause)
            inside.ada.get(ACME + path)
            assert inside.last().path == path
    assert world.request(inside.request_id).state == State.ACTIVE


@both_kinds
def test_p10_idleness_still_ends_it(world: World, kind: str) -> None:
    """At the limit, not a second before; and from then on it is refused, job or no job."""
    people(world)
    inside = enter(world, kind)
    inside.ada.get(ACME + "/users")
    world.clock.advance(seconds=IDLE - 1)
    assert expire_due(world.runtime) == "0 ended"
    world.clock.advance(seconds=1)
    assert inside.ada.get(ACME + "/users").status_code == 302
    assert expire_due(world.runtime) == "1 ended"
    assert world.request(inside.request_id).end_reason == EndReason.IDLE
    assert inside.counted() == 2


SPANS = [(IDLE, IDLE - 1, 600), (IDLE, IDLE / 2, IDLE - 10), (60, 20, 50)]


@pytest.mark.parametrize(("idle", "before", "takes"), SPANS)
def test_p10_a_request_that_spans_the_limit_keeps_its_session(
    build: Build, idle: int, before: float, takes: int
) -> None:
    """The job runs while the view is at work, past the moment when the former use is too long ago."""
    world = build(idle_timeout=timedelta(seconds=idle))
    slow_views(world)
    inside = enter(world, TEMPORARY_ADMIN, duration=HOURS)
    world.clock.advance(seconds=before)
    assert inside.ada.get(f"{ACME}/slow/{takes}").status_code == 200
    assert world.request(inside.request_id).state == State.ACTIVE
    world.clock.advance(seconds=idle - 1)
    assert expire_due(world.runtime) == "0 ended"
    assert inside.ada.get(ACME + "/users").status_code == 200


@both_kinds
def test_p10_looking_again_by_itself_is_no_use(world: World, kind: str) -> None:
    """Support leaves *Support access* open: each look is written, and the access ends for idleness all the same."""
    people(world)
    inside = enter(world, kind)
    for _ in range(5):
        world.clock.advance(seconds=IDLE / 5 - 1)
        assert inside.ada.get(ACME + "/support-access/live").status_code == 200
    assert inside.told()[1:] == [("GET", "/support-access/live", 200)] * 5
    world.clock.advance(seconds=5)
    assert inside.ada.get(ACME + "/support-access/live").status_code == 302
    assert expire_due(world.runtime) == "1 ended"
