"""Factories: a world with a default instance, customers and people, on a real database and a clock that tests move."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts import factors, totp
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, OMNIADMIN, User
from tempadmin.app import create_app
from tempadmin.db import db, transaction
from tempadmin.runtime import Runtime, current_runtime
from tempadmin.settings import Settings
from tests import once
from tests.browser import Browser
from tickets.models import AccessRequest

CONSOLE = "http://localhost:8000"
PASSWORD = "a sentence is a good password"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
REASON = "The start page shows an empty banner."
KEYS = ("k" * 32,)

once.share()


class FakeClock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 10, 0, 5, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, **amount: float) -> datetime:
        self.time += timedelta(**amount)
        return self.time


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Settings of a test: everything by default, the database in a folder of its own."""
    return Settings(**{"data": folder, "base_url": CONSOLE, "secret_keys": KEYS, **changes})


@dataclass
class World:
    """An application with people in it; every person has the same password, every omniadmin the same seed."""

    app: Flask
    clock: FakeClock

    @property
    def runtime(self) -> Runtime:
        return current_runtime()

    def instance(self, web_id: str, name: str | None = None, **columns: Any) -> VirtualInstance:
        """Add a customer's instance that answers at ``<web_id>.localhost``."""
        return _add(
            VirtualInstance(
                web_id=web_id,
                name=name or web_id.title(),
                virtual_hostname=f"{web_id}.localhost",
                created_at=self.clock.now(),
                **columns,
            )
        )

    def default_instance(self) -> VirtualInstance:
        """The operator's own instance; made when there is none."""
        found = db.session.scalars(select(VirtualInstance).where(VirtualInstance.is_default)).one_or_none()
        return found or _add(
            VirtualInstance(web_id="operator", name="Operator", is_default=True, created_at=self.clock.now())
        )

    def user(self, instance: VirtualInstance, address: str, *, role: str = MEMBER, **columns: Any) -> User:
        """Add a person who can sign in with PASSWORD."""
        columns.setdefault("full_name", address.partition("@")[0].title())
        columns.setdefault("password_hash", _password_hash())
        return _add(
            User(
                instance_id=instance.id,
                email=address,
                role=role,
                created_at=self.clock.now(),
                **columns,
            )
        )

    def administrator(self, instance: VirtualInstance, address: str) -> User:
        """Add a customer's administrator."""
        return self.user(instance, address, role=ADMINISTRATOR)

    def omniadmin(self, address: str = "ada@operator.example", full_name: str = "Ada Brandt") -> User:
        """Add an omniadmin with an enrolled second factor."""
        user = self.user(self.default_instance(), address, role=OMNIADMIN, full_name=full_name)
        with transaction():
            factors.enrol(user_id=user.id, seed=SEED, step=0, now=self.clock.now(), runtime=self.runtime)
        return user

    def code(self) -> str:
        """The code that every omniadmin's device shows now."""
        return totp.code_at(SEED, self.clock.now())

    def next_code(self) -> str:
        """Wait for a code that was not used yet, and return it."""
        self.clock.advance(seconds=30)
        return self.code()

    def browser(self, base_url: str = CONSOLE) -> Browser:
        """A new browser, signed in nowhere."""
        return Browser(self.app, base_url)

    def signed_in(self, address: str = "ada@operator.example", base_url: str = CONSOLE) -> Browser:
        """A browser in which a person has signed in, with a code where one is asked."""
        browser = self.browser(base_url)
        browser.get("/login")
        browser.post("/login", {"email": address, "password": PASSWORD}, follow=True)
        if browser.url.endswith("/login/verify"):
            browser.post("/login/verify", {"code": self.next_code()}, follow=True)
        assert browser.get("/").status_code == 200, browser.trail
        return browser

    def ask(self, browser: Browser, web_id: str, **form: str) -> AccessRequest:
        """Ask for access by the form; return the new request's row."""
        url = f"{CONSOLE}/instances/{web_id}/request-access"
        browser.get(url)
        sent = {"reason": REASON, "external_ticket": "HELP-1", "duration": "3600", **form}
        response = browser.post(url, sent, follow=True)
        assert response.status_code == 200, browser.text
        return self.newest_request()

    def confirmation_link(self) -> str:
        """The link in the newest confirmation mail."""
        return link_in(_text(max((self.runtime.settings.data / "mail").glob("*.eml")).read_bytes()))

    def confirm(self, browser: Browser) -> str:
        """Confirm by the newest mail; return the one-time link."""
        link = self.confirmation_link()
        assert browser.get(link).status_code == 200, browser.text
        assert browser.post(link, {"code": self.next_code()}).status_code == 200, browser.text
        return browser.link(r"http://[a-z0-9.-]+(:\d+)?/login/ticket\?key=[\w.-]+")

    def enter(self, browser: Browser, web_id: str = "acme", **form: str) -> AccessRequest:
        """Walk the whole way in: ask, confirm, follow the link."""
        self.ask(browser, web_id, **form)
        response = browser.get(self.confirm(browser), follow=True)
        assert response.status_code == 200, (browser.trail[-5:], browser.text)
        return self.newest_request()

    def newest_request(self) -> AccessRequest:
        db.session.rollback()
        return db.session.scalars(select(AccessRequest).order_by(AccessRequest.id.desc()).limit(1)).one()

    def request(self, request_id: int) -> AccessRequest:
        db.session.rollback()
        return db.session.get_one(AccessRequest, request_id)

    def mails(self) -> list[str]:
        """The texts of all mails, oldest first."""
        folder = self.runtime.settings.data / "mail"
        return [_text(path.read_bytes()) for path in sorted(folder.glob("*.eml"))]


def make_world(folder: Path, *, clock: FakeClock | None = None, **changes: Any) -> World:
    """Build an application on the database in a folder, for a fresh clock."""
    clock = clock or FakeClock()
    app = create_app(settings_for(folder, **changes), clock=clock)
    app.jinja_env.bytecode_cache = once.TEMPLATES
    return World(app, clock)


def link_in(mail: str) -> str:
    """The first address in a mail."""
    found = re.search(r"^https?://\S+(?=\s*$)", mail, re.MULTILINE)
    if found is None:
        raise AssertionError(f"no link in {mail}")
    return found[0]


def plain(message: EmailMessage) -> str:
    """The words of a mail as plain text."""
    part = message.get_body(preferencelist=("plain",))
    assert part is not None
    return str(part.get_content())


def _text(raw: bytes) -> str:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return f"Subject: {message['Subject']}\n\n{plain(message)}"


def _add(row: Any) -> Any:
    with transaction() as session:
        session.add(row)
    return row


@cache
def _password_hash() -> str:
    """The hash of PASSWORD, cheap to verify: hundreds of tests sign in, and few are about what that costs."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
