"""The part of *Support access* that looks again by itself lasts no longer than the right to see it (P3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from instances.directory import Acting, deactivate, edit
from instances.registry import archive_instance
from tempadmin.accounts.models import MEMBER
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tests.browser import Browser
from tests.tickets.evidence import ACME
from tests.tickets.watched import BOSS, MIA, Watched, both_kinds, enter, people, person
from tests.world import World
from tickets.models import IMPERSONATION, TEMPORARY_ADMIN

LIVE = ACME + "/support-access/live"
Loss = Callable[[World, Browser], None]


def by_command(world: World) -> Acting:
    return Acting(user_id=None, instance_id=person(BOSS).instance_id, actor=SERVICE, request_id=None)


def role_lost(world: World, boss: Browser) -> None:
    """Another administrator takes the role."""
    found = person(BOSS)
    edit(acting=by_command(world), user_id=found.id, full_name="Boss", role=MEMBER, runtime=world.runtime)


def deactivated(world: World, boss: Browser) -> None:
    """Another administrator deactivates the account."""
    deactivate(acting=by_command(world), user_id=person(BOSS).id, runtime=world.runtime)


def signed_out(world: World, boss: Browser) -> None:
    """The administrator signs out."""
    boss.get(ACME + "/logout")
    assert boss.post(ACME + "/logout").status_code == 303


def too_long_ago(world: World, boss: Browser) -> None:
    """Nobody touched the page for the idle time of a session; the looks in between do not count."""
    for _ in range(7):
        world.clock.advance(minutes=8)
        assert boss.get(LIVE).status_code == 200
    world.clock.advance(minutes=4)


def archived(world: World, boss: Browser) -> None:
    """The instance is no more."""
    archive_instance(web_id="acme", actor=SERVICE, runtime=world.runtime)


@pytest.mark.parametrize("loss", [role_lost, deactivated, signed_out, too_long_ago, archived])
def test_p3_the_live_view_ends_with_the_right_to_see_it(world: World, loss: Loss) -> None:
    """The next look shows nothing of it: it leads to the sign-in, or nowhere."""
    acme = people(world)
    world.administrator(acme, "other@acme.example")
    enter(world, TEMPORARY_ADMIN)
    boss = world.signed_in(BOSS, ACME)
    seen = boss.get(LIVE)
    assert (seen.status_code, "Ada Brandt is inside now" in boss.text) == (200, True)
    loss(world, boss)
    answer = boss.get(LIVE)
    assert answer.status_code == (404 if loss is archived else 302)
    assert "Ada" not in answer.get_data(as_text=True)


def test_p3_a_role_taken_by_hand_shows_the_next_look_less(world: World) -> None:
    """Even where no session ended, each look asks anew what its reader may see."""
    people(world)
    enter(world, TEMPORARY_ADMIN)
    boss = world.signed_in(BOSS, ACME)
    found = person(BOSS)
    with transaction():
        db.session.merge(found).role = MEMBER
    assert boss.get(LIVE).status_code == 200
    assert "Ada Brandt" not in boss.text


@both_kinds
def test_p3_the_live_view_of_support_ends_with_the_access(world: World, kind: str) -> None:
    """Support may look at it, as its account may; not after the customer pressed **End access**."""
    people(world)
    inside: Watched = enter(world, kind)
    assert inside.ada.get(LIVE).status_code == 200
    boss = world.signed_in(BOSS, ACME)
    boss.get(ACME + "/support-access")
    assert boss.post(inside.page + "/end").status_code == 303
    assert inside.ada.get(LIVE).status_code == 302
    assert inside.last().path == "/support-access/live"
    assert inside.counted() == 2


def test_the_live_view_shows_a_member_what_concerns_them(world: World) -> None:
    """Who is seen as Mia is shown to Mia and to the administrators, and to nobody else."""
    acme = people(world)
    world.user(acme, "tom@acme.example")
    enter(world, IMPERSONATION, subject=MIA)
    for address, sees in ((MIA, True), (BOSS, True), ("tom@acme.example", False)):
        reader = world.signed_in(address, ACME)
        assert reader.get(LIVE).status_code == 200
        assert ("Ada Brandt is inside now" in reader.text) == sees, address
