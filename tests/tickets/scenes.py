"""Scenes on one database: a fresh omniadmin, customer and request each, brought by use cases to where they matter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from sqlalchemy import select

from tempadmin.accounts import sessions
from tempadmin.accounts.models import TEMPORARY, LoginSession, User
from tempadmin.accounts.sign_in import Client
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import code_in, faults, key_in, to_return, with_cookie
from tests.world import CONSOLE, REASON, World
from tickets.confirm import confirm
from tickets.expire import retry_due
from tickets.hand_off import open_cookie
from tickets.models import AccessRequest
from tickets.portal import HAND_OFF_COOKIE
from tickets.provision import provision
from tickets.redeem import redeem
from tickets.request import request_access
from tickets.states import OPEN, State

HOUR = timedelta(hours=1)
_numbers = count(1)


@dataclass
class Scene:
    """One omniadmin with a session, one customer's instance, and what the request has come to."""

    user_id: int
    address: str
    session: str
    instance_id: int
    web_id: str
    request_id: int = 0
    public_id: str = ""
    confirm_key: str = ""
    login_key: str = ""
    support: str = ""

    @property
    def host(self) -> str:
        return f"{self.web_id}.localhost"

    @property
    def base(self) -> str:
        return f"http://{self.host}:8000"

    @property
    def link(self) -> str:
        return f"{self.base}/login/ticket?key={self.login_key}"

    @property
    def page(self) -> str:
        return f"{CONSOLE}/access/{self.public_id}"

    @property
    def actor(self) -> Actor:
        return Actor(id=self.user_id, name="Ada Brandt")

    def browser(self, world: World) -> Browser:
        """One more browser window with the omniadmin's session, on the request's page if there is one."""
        browser = with_cookie(world, CONSOLE, SESSION_COOKIE, self.session)
        if self.support:
            browser.client.set_cookie(SESSION_COOKIE, self.support, domain=self.host)
        assert browser.get(self.page if self.public_id else f"{CONSOLE}/access").status_code == 200, browser.text
        return browser

    def back(self, world: World) -> tuple[Browser, str]:
        """A browser that has followed the one-time link, and the address that would let it in."""
        browser = self.browser(world)
        return browser, to_return(browser, self.link)


def new_scene(world: World, until: State | None = None) -> Scene:
    """Make a scene whose request stands in the state; ``None``: nothing was asked yet."""
    number = next(_numbers)
    address, web_id = f"ada{number}@operator.example", f"customer{number}"
    user, instance = world.omniadmin(address), world.instance(web_id)
    scene = Scene(user.id, address, sign_in(world, user), instance.id, web_id)
    if until is not None:
        bring(world, scene, until)
    return scene


def sign_in(world: World, user: User) -> str:
    """Open a session as a full sign-in does; return its secret."""
    with transaction():
        return sessions.open_session(
            user=db.session.get_one(User, user.id),
            actor=Actor(id=user.id, name=user.full_name),
            now=world.clock.now(),
            lifetime=timedelta(hours=12),
            idle=HOUR,
            mfa_at=world.clock.now(),
            runtime=world.runtime,
        )


def bring(world: World, scene: Scene, until: State) -> None:
    """Ask, and go on up to a state on the straight way."""
    asked = request_access(
        requester_id=scene.user_id,
        web_id=scene.web_id,
        reason=REASON,
        external_ticket=None,
        duration=HOUR,
        runtime=world.runtime,
    )
    scene.request_id, scene.public_id = asked.id, asked.public_id
    if until == State.PROVISIONING:
        return
    assert provision(request_id=asked.id, runtime=world.runtime)
    scene.confirm_key = key_in(world.confirmation_link())
    if until == State.AWAITING_CONFIRMATION:
        return
    link = confirm(key=scene.confirm_key, user_id=scene.user_id, answer=world.code(), runtime=world.runtime)
    scene.login_key = link.key
    if until == State.READY:
        return
    browser, back = scene.back(world)
    cookie = browser.cookie(HAND_OFF_COOKIE, scene.host)
    kept = open_cookie(cookie, instance_id=scene.instance_id, runtime=world.runtime)
    assert kept is not None
    scene.support = redeem(
        kept=kept,
        code=code_in(back),
        instance_id=scene.instance_id,
        present_session=None,
        client=Client(),
        runtime=world.runtime,
    ).secret


def live_sessions(user_id: int) -> int:
    """How many sessions of a person were not ended."""
    db.session.rollback()
    return len(sessions.live_ids(user_id=user_id))


def assert_nothing_left(world: World, *scenes: Scene) -> None:
    """Nothing of what these people asked for is open, lives or works, and every chain verifies."""
    retry_due(world.runtime)
    db.session.rollback()
    for scene in scenes:
        mine = AccessRequest.requester_id == scene.user_id
        for request in db.session.scalars(select(AccessRequest).where(mine)).all():
            assert State(request.state) not in OPEN, (request.state, request.end_reason)
            assert request.state == State.ENDED, (request.end_reason, request.last_error)
        theirs = select(User.id).where(User.instance_id == scene.instance_id, User.kind == TEMPORARY)
        assert db.session.scalars(theirs).all() == []
        inside = select(LoginSession.id).where(LoginSession.instance_id == scene.instance_id)
        assert db.session.scalars(inside.where(LoginSession.access_request_id.is_not(None))).all() == []
    assert faults(world) == []
