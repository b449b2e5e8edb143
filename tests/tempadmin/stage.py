"""A prepared scene for tests over all routes: seven sessions, five customers, requests in every open state."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import select

from tempadmin.accounts.models import ADMINISTRATOR, Invitation
from tempadmin.accounts.models import OMNIADMIN as OMNIADMIN_ROLE
from tempadmin.accounts.omniadmins import create_omniadmin
from tempadmin.accounts.sessions import open_session
from tempadmin.audit.log import SERVICE, Actor
from tempadmin.db import db, transaction
from tests.browser import Browser
from tests.conftest import Build
from tests.tempadmin.asked import asked_first, impersonated
from tests.world import CONSOLE, FakeClock, World
from tickets.provider import register

ACME = "http://acme.localhost:8000"
SESSION_COOKIE = "tempadmin_session"
BIRCH = "http://birch.localhost:8000"
HOSTS = {"console": CONSOLE, "customer": ACME, "elsewhere": BIRCH}
FACTORLESS, ENDED = NOBODIES = ("omniadmin without a second factor", "support session that has ended")
ANONYMOUS, MEMBER, ADMIN, OMNIADMIN, TEMPORARY, AS_MEMBER, AS_ADMIN = PEOPLE = (
    "anonymous",
    "member",
    "administrator",
    "omniadmin",
    "temporary",
    "as the member",
    "as the administrator",
)


@dataclass(frozen=True)
class Stage:
    """Where the scene is kept, when it stands still, and what its addresses are made of."""

    folder: Path
    moment: datetime
    cookies: dict[tuple[str, str], str]
    """A session cookie's secret, by place and person; in the other place it is a foreign one."""
    words: dict[str, str]
    database: str | None = None
    """The PostgreSQL database that the scene is in; ``None`` when it is a file in the folder."""

    def play(self, build: Build, folder: Path, **changes: Any) -> World:
        """Open a copy of the scene in a fresh folder."""
        shutil.copytree(self.folder, folder)
        clock = FakeClock()
        clock.time = self.moment
        return build(folder.name, clock=clock, copy_of=self.database or str(self.folder), **changes)

    def browser(self, world: World, place: str, person: str) -> Browser:
        """A person's browser on a host; people from elsewhere bring the cookie that they have."""
        base = HOSTS[place]
        browser = world.browser(base)
        homes = ("console", "customer") if place == "console" else ("customer", "console")
        secret = next((found for home in homes if (found := self.cookies.get((home, person)))), None)
        if secret is not None:
            browser.client.set_cookie(SESSION_COOKIE, secret, domain=urlsplit(base).hostname or "")
        return browser


def prepare(world: World) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Fill a world; return the cookies and the words of its addresses."""
    home, acme = world.default_instance(), world.instance("acme", "Acme Logistics")
    birch, _, dune = (world.instance(name) for name in ("birch", "cedar", "dune"))
    world.instance("elm", require_omniadmin=True)
    world.omniadmin("ada@operator.example", "Ada Brandt")
    world.omniadmin("ben@operator.example", "Ben Ito")
    world.user(home, "member@operator.example")
    world.user(home, "admin@operator.example", role=ADMINISTRATOR)
    member = world.user(acme, "member@acme.example")
    other = world.user(acme, "other@acme.example")
    away = world.user(acme, "away@acme.example", active=False)
    invited = world.user(acme, "invited@acme.example", password_hash=None)
    stranger = world.user(birch, "stranger@birch.example")
    administrator = world.administrator(acme, "admin@acme.example")
    marked = world.user(acme, "marked@acme.example", made_in_request_id=1)
    world.user(dune, "user@dune.example")

    ended = _left_behind(world)
    ada, ben = world.signed_in("ada@operator.example"), world.signed_in("ben@operator.example")
    asking = asked_first(world, acme)
    consented, as_member = impersonated(world, "ada@operator.example", member)
    _, as_administrator = impersonated(world, "ben@operator.example", administrator)
    active = world.enter(ada, "acme").public_id
    world.ask(ben, "acme")
    login_key = _key(world.confirm(ben))
    ready = world.ask(ada, "cedar").public_id
    world.confirm(ada)
    waiting = world.ask(ada, "birch").public_id
    confirm_key = _key(world.confirmation_link())
    invitation = create_omniadmin(
        instance_id=home.id, email="new@operator.example", full_name="New Person", runtime=world.runtime
    )
    cookies = {
        ("console", OMNIADMIN): ada.cookie(SESSION_COOKIE, "localhost"),
        ("customer", TEMPORARY): ada.cookie(SESSION_COOKIE, "acme.localhost"),
        ("console", MEMBER): _signed_in(world, "member@operator.example", CONSOLE),
        ("console", ADMIN): _signed_in(world, "admin@operator.example", CONSOLE),
        ("customer", MEMBER): _signed_in(world, "member@acme.example", ACME),
        ("customer", ADMIN): _signed_in(world, "admin@acme.example", ACME),
        ("customer", AS_MEMBER): as_member,
        ("customer", AS_ADMIN): as_administrator,
        ("customer", ENDED): ended,
        ("console", FACTORLESS): _without_factor(world),
    }
    words = {
        **asking,
        "wish": _product(acme.id, world),
        "consented": consented,
        "marked": str(marked.id),
        "active": active,
        "ready": ready,
        "waiting": waiting,
        "login_key": login_key,
        "confirm_key": confirm_key,
        "invitation": invitation,
        "member": str(member.id),
        "other": str(other.id),
        "away": str(away.id),
        "invited": str(invited.id),
        "stranger": str(stranger.id),
        "challenge": "c" * 43,
    }
    assert db.session.scalar(select(Invitation.id)) is not None
    return {place: secret for place, secret in cookies.items() if secret}, words


def _left_behind(world: World) -> str | None:
    """The cookie of a support session that was left."""
    cleo = world.omniadmin("cleo@operator.example", "Cleo Vik").email
    browser = world.signed_in(cleo)
    world.enter(browser, "acme")
    cookie = browser.cookie(SESSION_COOKIE, "acme.localhost")
    browser.post(ACME + "/support-session/leave", follow=True)
    return cookie


def _product(instance_id: int, world: World) -> str:
    """Register a product, now that everybody is inside by the panel; what it asks of the provider."""
    back = ("https://product.example/back",)
    product = register.Product(login_uri="https://product.example/in", redirect_uris=back)
    client = register.register(instance_id=instance_id, product=product, actor=SERVICE, runtime=world.runtime)
    return (
        f"response_type=code&client_id={client.client_id}&redirect_uri=https://product.example/back&scope=openid"
        f"&code_challenge={'c' * 43}&code_challenge_method=S256&state=s"
    )


def _without_factor(world: World) -> str:
    """A session that no sign-in gives: an omniadmin's, by the password alone."""
    user = world.user(world.default_instance(), "bare@operator.example", role=OMNIADMIN_ROLE)
    with transaction():
        return open_session(
            user=user,
            actor=Actor(id=user.id, name=user.full_name),
            now=world.clock.now(),
            lifetime=world.runtime.settings.session_lifetime,
            idle=world.runtime.settings.session_idle,
            runtime=world.runtime,
        )


def everything(world: World) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, but for when a session was last seen, limit counters, and activity (S02).

    As the driver reads them, in the order of their keys: what is only compared need not become rows and moments.
    """
    db.session.rollback()
    connection = db.session.connection()
    rows = {name: [tuple(row) for row in connection.exec_driver_sql(read)] for name, read in _reads().items()}
    db.session.rollback()
    return rows


@cache
def _reads() -> dict[str, str]:
    found = {}
    for table in db.metadata.sorted_tables:
        if table.name not in ("activity", "limit_counters"):
            columns = [column.name for column in table.columns if column.name not in ("last_seen_at", "activity_count")]
            keys = [column.name for column in table.primary_key]
            found[table.name] = f"SELECT {', '.join(columns)} FROM {table.name} ORDER BY {', '.join(keys)}"
    return found


def _signed_in(world: World, address: str, base_url: str) -> str | None:
    host = urlsplit(base_url).hostname or ""
    return world.signed_in(address, base_url).cookie(SESSION_COOKIE, host)


def _key(link: str) -> str:
    return parse_qs(urlsplit(link).query)["key"][0]
