"""Fixtures: two customers, their administrators, and who acts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from instances import inviting
from instances.directory import Acting
from instances.models import VirtualInstance
from tempadmin.accounts.models import TEMPORARY, User
from tempadmin.audit import queries as audit_queries
from tempadmin.audit.log import Actor
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db, transaction
from tests.world import World

MakeTemporary = Callable[..., User]


@pytest.fixture
def birch(world: World) -> VirtualInstance:
    return world.instance("birch-health", "Birch Health")


@pytest.fixture
def maria(world: World, birch: VirtualInstance) -> User:
    """Birch's administrator."""
    return world.user(birch, "maria@birch.example", role="administrator", full_name="Maria Lund")


@pytest.fixture
def per(world: World, birch: VirtualInstance) -> User:
    """One of Birch's members."""
    return world.user(birch, "per@birch.example", full_name="Per Holm")


@pytest.fixture
def as_maria(maria: User) -> Acting:
    """Maria at work in her own control panel."""
    actor = Actor(id=maria.id, name=maria.full_name)
    return Acting(user_id=maria.id, instance_id=maria.instance_id, actor=actor, request_id=None)


@pytest.fixture
def in_support(birch: VirtualInstance) -> Acting:
    """Ada in a support session of request 77."""
    return Acting(user_id=4711, instance_id=birch.id, actor=Actor(id=1, name="Ada Brandt"), request_id=77)


@pytest.fixture
def temporary(world: World) -> MakeTemporary:
    """Make the account of a temporary administrator, as a request reserves it."""
    return maker_of_temporary_administrators(world)


def maker_of_temporary_administrators(world: World) -> MakeTemporary:
    """As the fixture, for what is no test."""

    def make(instance: VirtualInstance, *, request_id: int = 77, **columns: object) -> User:
        with transaction() as session:
            user = User(
                instance_id=instance.id,
                kind=TEMPORARY,
                role="administrator",
                email=f"reserved-{request_id}@liferayonline.com",
                full_name="Ada Brandt",
                active=False,
                created_at=world.clock.now(),
                access_request_id=request_id,
            )
            session.add(user)
            session.flush()
            user.screen_name = f"liferay_online_1_{user.id}"
            user.email = f"{user.screen_name}@liferayonline.com"
            for name, value in columns.items():
                setattr(user, name, value)
        return user

    return make


@pytest.fixture
def ldap_of(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Callable[..., Any]:
    """Make an LDAP directory of Birch's, with other settings than the usual ones."""
    from tests.instances.ldap_directory import Ldap

    return partial(Ldap, world, birch, temporary)


def fresh(user: User) -> User:
    """Read an account again."""
    user_id = user.id
    db.session.rollback()
    return db.session.get_one(User, user_id)


def invite(world: World, acting: Acting, **changes: Any) -> int:
    """Invite Anna, or whom the changes name."""
    values = {"email": "anna@birch.example", "full_name": "Anna Berg", "role": "member", **changes}
    return inviting.invite(acting=acting, runtime=world.runtime, **values).user_id


def last_event(instance_id: int) -> AuditEvent:
    """The newest event of an instance's chain."""
    return db.session.scalars(audit_queries.events(instance_id=instance_id).limit(1)).one()
