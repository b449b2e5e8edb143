"""Who is there: omniadmins for each client, deciders on every side, their cookies, codes and mails."""

from __future__ import annotations

import threading
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from instances.models import VirtualInstance
from tempadmin.accounts import factors, sessions
from tempadmin.accounts.models import ADMINISTRATOR, OMNIADMIN, User
from tempadmin.accounts.totp import code_at
from tempadmin.app import create_app
from tempadmin.audit.log import Actor
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tempadmin.runtime import Runtime, current_runtime
from tempadmin.serving import upgrade_database
from tempadmin.settings import Settings
from tests.chaos.browser import SESSION, Jar
from tests.chaos.plans import CLIENTS, INSTANCES, PEOPLE, WITH_PASSWORD
from tests.world import PASSWORD, SEED, _password_hash, link_in

DAY = timedelta(days=1)


class People:
    """Ids and cookies, by client and number."""

    password = PASSWORD

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._cookies: dict[str, str] = {}

    def address(self, client: int, person: int) -> str:
        return f"person-{client}-{person}@operator.example"

    def id_of(self, client: int, person: int) -> int:
        """Their id as a requester."""
        return self._ids[self.address(client, person)]

    def jar(self, client: int, person: int) -> Jar:
        return {SESSION: self._cookies[self.address(client, person)]}

    def decider(self, host: str) -> tuple[int, Jar]:
        """Somebody who may say yes, and end, at the console or on a customer's host; and their cookie."""
        return self._ids[f"decider@{host}"], {SESSION: self._cookies[f"decider@{host}"]}

    def settle(self, settings: Settings) -> None:
        """Make the database with everybody in it; all but a few omniadmins come with a session and no password."""
        app = create_app(settings)
        with app.app_context():
            upgrade_database()
            runtime = current_runtime()
            now = runtime.now()
            with transaction() as session:
                home = VirtualInstance(web_id="operator", name="Operator", is_default=True, created_at=now)
                session.add(home)
                for name, sides in INSTANCES.items():
                    wants = {f"require_{side}": True for side in sides}
                    place = VirtualInstance(
                        web_id=name, name=name.title(), virtual_hostname=f"{name}.localhost", created_at=now, **wants
                    )
                    session.add(place)
                    session.flush()
                    self._add(f"decider@{place.virtual_hostname}", place, ADMINISTRATOR, True, runtime)
                self._add("decider@localhost", home, OMNIADMIN, True, runtime)
                for client in range(CLIENTS + 1):  # the last one sees whether it works again
                    for person in range(PEOPLE):
                        mailed = person < WITH_PASSWORD
                        self._add(self.address(client, person), home, OMNIADMIN, mailed, runtime)
            db.session.remove()
            db.engine.dispose()

    def _add(self, name: str, place: VirtualInstance, role: str, password: bool, runtime: Runtime) -> None:  # noqa: FBT001
        now, session = runtime.now(), db.session
        session.flush()
        user = User(
            instance_id=place.id,
            role=role,
            email=name if role == OMNIADMIN and "localhost" not in name else f"{place.web_id}@decider.example",
            full_name=name.partition("@")[0].title(),
            password_hash=_password_hash() if password else None,
            created_at=now,
        )
        session.add(user)
        session.flush()
        mfa_at = None
        if role == OMNIADMIN:
            factors.enrol(user_id=user.id, seed=SEED, step=0, now=now, runtime=runtime)
            mfa_at = now
        self._ids[name] = user.id
        self._cookies[name] = sessions.open_session(
            user=user,
            actor=Actor(id=user.id, name=user.full_name),
            now=now,
            lifetime=DAY,
            idle=DAY,
            mfa_at=mfa_at,
            runtime=runtime,
        )


class Mailbox:
    """The folder of mails, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, EmailMessage] = {}
        self._links: dict[str, str] = {}
        self._lock = threading.Lock()

    def newest_link(self, address: str) -> str | None:
        """The newest confirmation link that somebody was sent."""
        with self._lock:
            self._look()
            return self._links.get(address)

    def words(self) -> list[str]:
        """Every mail that was ever sent: whose it is on the first line, subject and text below."""
        with self._lock:
            self._look()
            return [f"{mail['To']}\n{mail['Subject']}\n{_words_of(mail)}" for mail in self._read.values()]

    def _look(self) -> None:
        if not self._folder.exists():
            return
        new = sorted(path for path in self._folder.glob("*.eml") if path.name not in self._read)
        for path in new:
            mail = message_from_bytes(path.read_bytes(), policy=default)
            self._read[path.name] = mail
            text = _words_of(mail)
            if "/access/confirm?key=" in text:
                self._links[str(mail["To"])] = link_in(text)


def _words_of(mail: EmailMessage) -> str:
    """The text of a mail."""
    part = mail.get_body(preferencelist=("plain",))
    return "" if part is None else str(part.get_content())


def code_now() -> str:
    """The code that everybody's device shows now."""
    return code_at(SEED, SystemClock().now())
