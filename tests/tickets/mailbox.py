"""What the mails of a world say, to whom: both halves of each, and whether they agree."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass, field
from email.message import EmailMessage
from html import unescape
from pathlib import Path

from tempadmin.db import db
from tempadmin.outbox.queue import deliver_due
from tests.world import World


@dataclass(frozen=True)
class Mail:
    """One mail as its reader gets it."""

    to: str
    subject: str
    text: str
    html: str
    message: EmailMessage

    @property
    def story(self) -> str:
        """The first line."""
        return self.text.splitlines()[0]

    @property
    def links(self) -> list[str]:
        """The addresses that stand alone on a line."""
        return re.findall(r"^https?://\S+$", self.text, re.MULTILINE)

    @property
    def buttons(self) -> list[str]:
        """Where the HTML leads."""
        return [unescape(link) for link in re.findall(r'href="([^"]*)"', self.html)]


@dataclass
class Mailbox:
    """All mails of a world, in the order in which they were sent."""

    world: World
    read: set[Path] = field(default_factory=set)

    def new(self) -> list[Mail]:
        """Let the job run; return what was sent since the last look."""
        db.session.rollback()
        deliver_due(self.world.runtime)
        paths = sorted((self.world.runtime.settings.data / "mail").glob("*.eml"))
        fresh = [path for path in paths if path not in self.read]
        self.read |= set(fresh)
        return [parsed(path.read_bytes()) for path in fresh]

    def told(self) -> dict[str, str]:
        """Who was told what since the last look; each hears one thing at most."""
        mails = self.new()
        by_reader = {mail.to: mail.subject for mail in mails}
        assert len(by_reader) == len(mails), [(mail.to, mail.subject) for mail in mails]
        return by_reader

    def only(self, to: str) -> Mail:
        """The one new mail to a person."""
        (mail,) = (mail for mail in self.new() if mail.to == to)
        return mail


def parsed(raw: bytes) -> Mail:
    """Read a mail; its shape is always the same."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"], kinds
    text, html = (part.get_content().replace("\r\n", "\n") for part in message.iter_parts())
    return Mail(str(message["To"]), str(message["Subject"]), text, html, message)


def words_of(text: str) -> str:
    """Words alone, for comparing what is laid out in two ways."""
    return "".join(text.split())


def words_of_html(html: str) -> str:
    """What a reader of the HTML sees, in the text's order: the button's words, then the address."""
    body = re.sub(r"(?s)^.*?<body[^>]*>", "", html)
    return words_of(unescape(re.sub(r"<[^>]+>", "", body)).replace("The button leads to ", ":"))
