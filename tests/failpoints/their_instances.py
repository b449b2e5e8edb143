"""What is done to customers' instances and the people there, killed at each step."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from instances import demo_world, directory, importing, inviting, preferences, registry, vouching
from tempadmin.accounts.models import User
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.runtime import current_runtime
from tempadmin.serving import upgrade_database
from tests.failpoints.stage import Cast, brought, killed
from tests.tickets.asked import change
from tests.world import World, make_world
from tickets.change_policy import change_policy
from tickets.operator_policy import change_as_operator
from tickets.states import State

INSIDE = brought(State.ACTIVE)


@killed(brought())
def making_an_instance(world: World, cast: Cast) -> None:
    web_id = f"new-{cast.scene.web_id}"
    host = f"{web_id}.localhost"
    registry.create_instance(web_id=web_id, name="New", host=host, actor=SERVICE, runtime=world.runtime)


@killed(brought())
def importing_instances(world: World, cast: Cast) -> None:
    text = ["web_id,name,host\n", f"in-{cast.scene.web_id},Imported,in-{cast.scene.web_id}.localhost\n"]
    good, _bad = importing.read(text, runtime=world.runtime)
    importing.write(good, actor=SERVICE, runtime=world.runtime, progress=lambda _count: None)


@killed(INSIDE)
def archiving_an_instance(world: World, cast: Cast) -> None:
    registry.archive_instance(web_id=cast.scene.web_id, actor=SERVICE, runtime=world.runtime)


@killed(brought())
def inviting_somebody(world: World, cast: Cast) -> None:
    address = f"new@{cast.scene.web_id}.example"
    inviting.invite(acting=cast.rosa(), email=address, full_name="New", role="member", runtime=world.runtime)


def somebody_invited(world: World) -> Cast:
    """Somebody who has not opened the account yet."""
    cast = brought()(world)
    address = f"new@{cast.scene.web_id}.example"
    invited = inviting.invite(acting=cast.rosa(), email=address, full_name="New", role="member", runtime=world.runtime)
    cast.held["new"] = invited.user_id
    return cast


@killed(somebody_invited)
def inviting_somebody_again(world: World, cast: Cast) -> None:
    inviting.invite_again(acting=cast.rosa(), user_id=cast.held["new"], runtime=world.runtime)


@killed(brought())
def editing_a_person(world: World, cast: Cast) -> None:
    liam = cast.person("liam").id
    acting = cast.rosa()
    directory.edit(acting=acting, user_id=liam, full_name="Liam", role="administrator", runtime=world.runtime)


@killed(brought())
def deactivating_a_person(world: World, cast: Cast) -> None:
    liam = cast.person("liam").id
    directory.deactivate(acting=cast.rosa(), user_id=liam, runtime=world.runtime)


def somebody_kept_out(world: World) -> Cast:
    """Somebody who was deactivated."""
    cast = brought()(world)
    change(User, cast.person("liam").id, active=False)
    return cast


@killed(somebody_kept_out)
def activating_a_person(world: World, cast: Cast) -> None:
    liam = cast.person("liam").id
    directory.activate(acting=cast.rosa(), user_id=liam, runtime=world.runtime)


def somebody_unvouched(world: World) -> Cast:
    """Somebody whom a support session changed."""
    cast = brought(State.ACTIVE)(world)
    change(User, cast.person("liam").id, changed_in_request_id=cast.scene.request_id)
    return cast


@killed(somebody_unvouched)
def vouching_for_a_person(world: World, cast: Cast) -> None:
    liam = cast.person("liam").id
    vouching.vouch(acting=cast.rosa(), user_id=liam, runtime=world.runtime)


@killed(brought())
def changing_preferences(world: World, cast: Cast) -> None:
    preferences.change_preferences(acting=cast.rosa(), name="Renamed", time_zone="", runtime=world.runtime)


@killed(brought(State.READY))
def asking_to_be_asked(world: World, cast: Cast) -> None:
    change_policy(acting=cast.rosa(), require_customer=True, longest=None, runtime=world.runtime)


@killed(INSIDE)
def a_tighter_policy_of_the_operator(world: World, cast: Cast) -> None:
    change_as_operator(
        web_id=cast.scene.web_id,
        actor=SERVICE,
        require_omniadmin=True,
        require_customer=None,
        longest=None,
        runtime=world.runtime,
    )


def an_empty_database(world: World) -> Cast:
    """A folder in which nothing was made yet; its own application, on SQLite as a demo's is."""
    cast = brought()(world)
    folder = current_runtime().settings.data / f"new-{cast.scene.web_id}"
    folder.mkdir()
    template = folder.parent / "empty.db"
    if template.exists():
        shutil.copy(template, folder / "tempadmin.db")
    cast.held["app"] = make_world(folder, clock=world.clock).app
    with inside(cast.held["app"]):
        if not template.exists():
            upgrade_database()
            db.session.remove()
            db.engine.dispose()
            shutil.copy(folder / "tempadmin.db", template)
    return cast


@contextmanager
def inside(app: Flask) -> Iterator[None]:
    """Work in another application; leave no connection of it."""
    with app.app_context():
        try:
            yield
        finally:
            db.session.remove()
            db.engine.dispose()


@killed(an_empty_database)
def making_the_default_instance(world: World, cast: Cast) -> None:
    with inside(cast.held["app"]):
        registry.create_default(web_id="operator", name="Operator", actor=SERVICE, runtime=current_runtime())


@killed(an_empty_database)
def filling_a_demo(world: World, cast: Cast) -> None:
    people = demo_world.new_world()
    people |= {"omniadmins": people["omniadmins"][:1], "instances": people["instances"][:1]}
    people["instances"][0]["members"] = []
    with inside(cast.held["app"]):
        demo_world.fill(people, runtime=current_runtime())
