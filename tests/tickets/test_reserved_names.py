"""P7: a regular account never carries the reserved prefix or mail domain; being temporary is a column, never a name."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from sqlalchemy.exc import IntegrityError

from instances import directory, inviting
from instances.models import VirtualInstance
from tempadmin.accounts import omniadmins
from tempadmin.accounts.models import TEMPORARY, User
from tempadmin.accounts.people import carriers_of_reserved_names
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.errors import Invalid
from tests.tickets.evidence import ACME, dump, go_inside
from tests.world import KEYS, World

RESERVED = {
    "the domain": ("per@liferayonline.com", "Per"),
    "the domain in capitals": ("per@LiferayOnline.COM", "Per"),
    "a domain below it": ("per@mail.liferayonline.com", "Per"),
    "the domain in full width": ("per@ｌｉｆｅｒａｙｏｎｌｉｎｅ.com", "Per"),
    "the prefix": ("liferay_online_1_2@acme.example", "Per"),
    "the prefix in capitals": ("LIFERAY_ONLINE_1_2@acme.example", "Per"),
    "the prefix alone": ("liferay_online@acme.example", "Per"),
    "the prefix in full width": ("ｌｉｆｅｒａｙ_online@acme.example", "Per"),
    "the prefix as a name": ("per@acme.example", "liferay_online_1_2"),
    "the prefix as a name in capitals": ("per@acme.example", "Liferay_Online 7"),
    "the prefix as a name in full width": ("per@acme.example", "ｌｉｆｅｒａｙ＿ｏｎｌｉｎｅ"),
    "the prefix behind blanks": ("per@acme.example", " \t\u200b liferay_online_1_2"),
}
HARMLESS = {
    "inside a name": ("liferay@acme.example", "Per liferay_online"),
    "another domain": ("per@notliferayonline.com", "Per"),
    "the domain in front": ("per@liferayonline.com.acme.example", "Per"),
}


@pytest.fixture
def boss(world: World, acme: VirtualInstance) -> directory.Acting:
    """The customer's administrator, for use cases."""
    row = world.administrator(acme, "boss@acme.example")
    actor = Actor(id=row.id, name=row.full_name)
    return directory.Acting(user_id=row.id, instance_id=acme.id, actor=actor, request_id=None)


@pytest.mark.parametrize("case", list(RESERVED))
def test_p7_nobody_is_added_with_what_is_reserved(world: World, boss: directory.Acting, case: str) -> None:
    """By invitation and from the command line: refused, whatever the spelling, and nobody is added."""
    email, name = RESERVED[case]
    before = dump(world)["users"]
    with pytest.raises(Invalid):
        inviting.invite(acting=boss, email=email, full_name=name, role="member", runtime=world.runtime)
    home = world.default_instance().id
    with pytest.raises(Invalid):
        omniadmins.create_omniadmin(instance_id=home, email=email, full_name=name, runtime=world.runtime)
    assert dump(world)["users"] == before


@pytest.mark.parametrize("case", [case for case, (email, _) in RESERVED.items() if email == "per@acme.example"])
def test_p7_nobody_is_renamed_to_what_is_reserved(world: World, boss: directory.Acting, case: str) -> None:
    """A person who exists does not get such a name either."""
    person = world.user(db.session.get_one(VirtualInstance, boss.instance_id), "kim@acme.example")
    with pytest.raises(Invalid):
        directory.edit(
            acting=boss, user_id=person.id, full_name=RESERVED[case][1], role="member", runtime=world.runtime
        )


@pytest.mark.parametrize("case", list(HARMLESS))
def test_p7_what_only_resembles_it_is_taken(world: World, boss: directory.Acting, case: str) -> None:
    """The rule is no broader than it must be."""
    email, name = HARMLESS[case]
    assert inviting.invite(acting=boss, email=email, full_name=name, role="member", runtime=world.runtime).user_id


def test_p7_a_name_makes_nobody_temporary(world: World, acme: VirtualInstance) -> None:
    """A regular row that carries such a name all the same is regular: it is listed, and no end removes it."""
    inside = go_inside(world)
    named = f"liferay_online_1_{inside.request.subject_id}"
    impostor = world.user(acme, f"{named}x@acme.example", full_name=named, screen_name=named)
    inside.ada.get(f"{ACME}/users")
    assert named in inside.ada.text
    inside.ada.post(f"{ACME}/support-session/leave", follow=True)
    db.session.rollback()
    assert db.session.get(User, impostor.id) is not None
    assert db.session.get(User, inside.request.subject_id) is None


def test_p7_a_temporary_row_needs_its_request_and_no_password(world: World, acme: VirtualInstance) -> None:
    """The column and what belongs to it hold together in the database itself."""
    for columns in ({}, {"access_request_id": 1, "password_hash": "x"}):
        row = User(
            instance_id=acme.id,
            kind=TEMPORARY,
            email="t@acme.example",
            full_name="T",
            created_at=world.clock.now(),
            **columns,
        )
        with pytest.raises(IntegrityError), transaction() as session:
            session.add(row)


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("liferay_online_9@acme.example", "Per"),
        ("per@liferayonline.com", "Per"),
        ("per@mail.liferayonline.com", "Per"),
        ("per@acme.example", "Liferay_Online Per"),
    ],
)
def test_p7_start_up_finds_a_regular_account_that_carries_what_was_reserved_later(
    world: World, acme: VirtualInstance, email: str, name: str
) -> None:
    """What could not be added now may be there from before the prefix or domain was chosen."""
    assert carriers_of_reserved_names(world.runtime.settings) == []
    world.user(acme, email, full_name=name)
    assert carriers_of_reserved_names(world.runtime.settings) == [email]


def test_p7_the_service_does_not_start_over_such_an_account(world: World, acme: VirtualInstance) -> None:
    """``tempadmin serve`` says which account it is, and which settings, and leaves with code 2."""
    world.user(acme, "liferay_online_9@acme.example")
    settings = world.runtime.settings
    environment = {
        **os.environ,
        "TEMPADMIN_BASE_URL": settings.base_url,
        "TEMPADMIN_SECRET_KEYS": KEYS[0],
        "TEMPADMIN_DATABASE_URL": settings.database,
    }
    command = [sys.executable, "-c", "from tempadmin.cli import main; main()", "serve", "--data", str(settings.data)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "liferay_online_9@acme.example" in ran.stderr
    assert "user_prefix" in ran.stderr
