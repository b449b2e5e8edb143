"""Known and unknown addresses cost the same: statements and time (S42)."""

from __future__ import annotations

import statistics
import time

import pytest

from tempadmin.accounts import passwords, sign_in
from tempadmin.accounts.models import User
from tempadmin.db import db, transaction
from tempadmin.errors import Invalid
from tests.accounts.people import ADA
from tests.statements import statements
from tests.world import PASSWORD, World

ROUNDS = 15
ADDRESSES = (ADA, "gone@operator.example", "invited@operator.example", "nobody@operator.example", "no address")


@pytest.fixture(autouse=True)
def _people(world: World) -> None:
    home = world.default_instance()
    known = world.omniadmin().id
    world.user(home, "gone@operator.example", active=False)
    invited = world.user(home, "invited@operator.example").id
    with transaction():
        db.session.get_one(User, invited).password_hash = None
        # Everywhere else passwords are cheap to verify; here the real cost is what it is about.
        db.session.get_one(User, known).password_hash = passwords.hash_password(PASSWORD)


def wrong_password(world: World, address: str, number: int) -> None:
    with pytest.raises(Invalid, match=sign_in.WRONG):
        sign_in.check_password(
            instance_id=1,
            email=address,
            password="not the password",
            network=f"10.0.{number}.0/24",
            client=sign_in.Client(),
            runtime=world.runtime,
        )


def test_s42_the_database_is_asked_the_same(world: World) -> None:
    """The same statements in the same order, whoever is asked for."""
    asked = []
    for address in ADDRESSES:
        with statements() as seen:
            wrong_password(world, address, 1)
        asked.append(seen)
    assert all(one == asked[0] for one in asked)
    assert len(asked[0]) > 2


def test_s42_medians_of_time_differ_little(world: World) -> None:
    """Known and unknown in turn: the ratio of their medians lies between a half and two."""
    times: dict[str, list[float]] = {address: [] for address in (ADA, "nobody@operator.example")}
    for number in range(ROUNDS):
        for address, taken in times.items():
            began = time.perf_counter()
            wrong_password(world, address, number)
            taken.append(time.perf_counter() - began)
    known, unknown = (statistics.median(taken) for taken in times.values())
    assert 0.5 < known / unknown < 2


def test_s42_the_first_unknown_address_of_a_worker_costs_no_more() -> None:
    """The hash that nobody's password is compared with is not computed first, and has the real one's cost."""
    real, nobodys = passwords.hash_password("a sentence is a good password"), passwords._nobodys_hash()
    assert nobodys.split("$")[:4] == real.split("$")[:4]
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in real.split("$")]
    assert not passwords.password_is_right(nobodys, "")
    assert not passwords.password_is_right(None, "nobody has this password")
