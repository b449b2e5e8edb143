"""A customer that is asked, an operator that asks, and those who must hear nothing of it; walked by use cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from instances.directory import Acting
from instances.models import VirtualInstance
from tempadmin.accounts.models import ADMINISTRATOR, User
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import key_in, with_cookie
from tests.tickets.scenes import sign_in
from tests.world import CONSOLE, REASON, World
from tickets.approve import approve, reject
from tickets.confirm import confirm
from tickets.end import end_access
from tickets.extend import approve_extension, extend, reject_extension
from tickets.impersonate import request_impersonation
from tickets.models import AccessRequest, Extension
from tickets.provision import provision
from tickets.request import request_access
from tickets.start import start
from tickets.states import EndReason

ADA, BEN = "ada@operator.example", "ben@operator.example"
NOOR, OLE, MIA = "noor@acme.example", "ole@acme.example", "mia@acme.example"
ACME = "http://acme.localhost:8000"
HOUR = timedelta(hours=1)


@dataclass
class Stage:
    """Ada asks; Ben is an omniadmin too; Noor and Ole administer Acme, where Mia is a member."""

    world: World
    acme: VirtualInstance
    ada: User
    ben: User
    noor: User
    ole: User
    mia: User
    request_id: int = 0

    @property
    def request(self) -> AccessRequest:
        return self.world.request(self.request_id)

    def ask(self, *, reason: str = REASON) -> None:
        """Ask for administrator access."""
        self.request_id = request_access(
            requester_id=self.ada.id,
            web_id="acme",
            reason=reason,
            external_ticket="HELP-1",
            duration=HOUR,
            runtime=self.world.runtime,
        ).id

    def ask_mia(self) -> None:
        """Ask to see Acme as Mia sees it."""
        self.request_id = request_impersonation(
            requester_id=self.ada.id,
            web_id="acme",
            email=MIA,
            reason=REASON,
            duration=HOUR,
            runtime=self.world.runtime,
        ).id

    def yes(self, *people: User, note: str | None = None) -> None:
        """Each says yes."""
        for user in people:
            approve(request_id=self.request_id, acting=acting(user), note=note, runtime=self.world.runtime)

    def no(self, user: User, note: str | None = None) -> None:
        """One says no."""
        reject(request_id=self.request_id, acting=acting(user), note=note, runtime=self.world.runtime)

    def enter(self) -> Browser:
        """Start what was approved and walk in; return the browser that is inside."""
        runtime = self.world.runtime
        if self.request.state == "approved":
            start(request_id=self.request_id, user_id=self.ada.id, runtime=runtime)
        if self.request.state == "provisioning":
            provision(request_id=self.request_id, runtime=runtime)
        key = key_in(self.world.confirmation_link())
        link = confirm(key=key, user_id=self.ada.id, answer=self.world.next_code(), runtime=runtime)
        browser = with_cookie(self.world, CONSOLE, SESSION_COOKIE, sign_in(self.world, self.ada))
        browser.get(f"{ACME}/login/ticket?key={link.key}", follow=True)
        assert self.request.state == "active", browser.trail
        return browser

    def extend(self, *, reason: str = "It takes longer than I thought.") -> int:
        """Ask for half an hour more; return the extension's id."""
        code = self.world.next_code()
        extend(
            request_id=self.request_id,
            user_id=self.ada.id,
            reason=reason,
            added=HOUR / 2,
            answer=code,
            runtime=self.world.runtime,
        )
        db.session.rollback()
        return db.session.query(Extension).filter_by(request_id=self.request_id).one().id

    def more(self, extension_id: int, *people: User) -> None:
        """Each says yes to more time."""
        for user in people:
            approve_extension(
                request_id=self.request_id,
                extension_id=extension_id,
                acting=acting(user),
                runtime=self.world.runtime,
            )

    def no_more(self, extension_id: int, user: User, note: str) -> None:
        """One says no to more time."""
        reject_extension(
            request_id=self.request_id,
            extension_id=extension_id,
            acting=acting(user),
            note=note,
            runtime=self.world.runtime,
        )

    @property
    def inside(self) -> Acting:
        """Ada at work as the account that she entered."""
        return Acting(
            user_id=self.request.subject_id,
            instance_id=self.acme.id,
            actor=actor(self.ada),
            request_id=self.request_id,
        )

    def end(self, reason: EndReason, by: User) -> None:
        """One ends it."""
        end_access(request_id=self.request_id, reason=reason, actor=actor(by), runtime=self.world.runtime)


def actor(user: User) -> Actor:
    """A real person."""
    return Actor(id=user.id, name=user.full_name)


def acting(user: User) -> Acting:
    """A person at work under their own name."""
    return Acting(user_id=user.id, instance_id=user.instance_id, actor=actor(user), request_id=None)


def make_stage(world: World, *, require_omniadmin: bool = False) -> Stage:
    """Make everybody, with those whom no mail may reach."""
    ada = world.omniadmin(ADA)
    ben = world.omniadmin(BEN, "Ben Ito")
    acme = world.instance("acme", "Acme Logistics", require_customer=True, require_omniadmin=require_omniadmin)
    noor = world.user(acme, NOOR, role=ADMINISTRATOR, full_name="Noor Haddad", time_zone="Europe/Oslo")
    ole = world.administrator(acme, OLE)
    mia = world.user(acme, MIA, full_name="Mia Holm", time_zone="Asia/Tokyo")
    world.administrator(acme, ADA)  # the requester's own account there (P9)
    world.user(acme, "made@acme.example", role=ADMINISTRATOR, made_in_request_id=999)  # unvouched (S25)
    world.user(acme, "gone@acme.example", role=ADMINISTRATOR, active=False)
    change(world.administrator(acme, "invited@acme.example"), password_hash=None)
    world.administrator(world.instance("birch"), "boss@birch.example")
    return Stage(world, acme, ada, ben, noor, ole, mia)


def change(row: User | VirtualInstance, **columns: object) -> None:
    """Change a row behind everybody's back."""
    with transaction() as session:
        found = session.get_one(type(row), row.id)
        for name, value in columns.items():
            setattr(found, name, value)
