"""Mailers behind one interface: SMTP, a folder of ``.eml`` files, the console, or none."""

from __future__ import annotations

import re
import smtplib
import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import click

from tempadmin.outbox.letter import Letter
from tempadmin.settings import Settings

TIMEOUT_SECONDS = 5
PERMANENT_REPLIES = range(500, 600)
LONGEST_LINE = 998  # octets (RFC 5322, 2.1.1)


class MailError(Exception):
    """A mail was not taken; ``permanent`` says that the same mail will not be taken later either."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class Mailer(Protocol):
    """Something that takes a mail or raises ``MailError``."""

    def send(self, *, recipient: str, letter: Letter) -> None:
        """Hand one mail over."""
        ...


def compose(*, sender: str, recipient: str, letter: Letter) -> EmailMessage:
    """Build the message, its text first.

    Header injection is impossible: line ends become spaces before the library sees them (S41).
    """
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = sender, recipient
    message["Subject"] = " ".join(letter.subject.split())
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, cte=_encoding(letter.text))
    message.add_alternative(letter.html, subtype="html", cte=_encoding(letter.html))
    message.policy = SMTP.clone(max_line_length=LONGEST_LINE)  # of headers; what is in the parts is done
    return message


def _encoding(body: str) -> str:
    """Leave a body as it is, so that links stay whole, unless one of its lines is too long to be sent so."""
    if max(len(line.encode()) for line in body.split("\n")) > LONGEST_LINE:
        return "quoted-printable"
    return "7bit" if body.isascii() else "8bit"


class SmtpMailer:
    """A real server: ``smtp://`` (STARTTLS where it is offered and must be where a password is sent) or ``smtps://``."""

    def __init__(self, url: str, *, sender: str) -> None:
        self._parts, self._sender = urlsplit(url), sender

    @property
    def address(self) -> str:
        """Where the server is, without what opens it."""
        return f"{self._parts.scheme}://{self._parts.hostname}" + (f":{self._parts.port}" if self._parts.port else "")

    def send(self, *, recipient: str, letter: Letter) -> None:
        """Speak SMTP with time-outs of 5 s."""
        message = compose(sender=self._sender, recipient=recipient, letter=letter)
        with self._speaking() as server:
            server.send_message(message)

    def greet(self) -> None:
        """Do all that comes before a mail: connect, EHLO, encrypt, sign in; raise ``MailError`` as ``send`` would."""
        with self._speaking() as server:
            server.ehlo_or_helo_if_needed()

    @contextmanager
    def _speaking(self) -> Iterator[smtplib.SMTP]:
        try:
            with self._connect() as server:
                yield server
        except smtplib.SMTPRecipientsRefused as error:
            recipient, (code, _words) = next(iter(error.recipients.items()))
            message = f"the mail server refused the address {recipient} ({code})"
            raise MailError(message, permanent=code in PERMANENT_REPLIES) from error
        except smtplib.SMTPResponseException as error:
            raise MailError(f"the mail server answered {error.smtp_code}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise MailError(f"the mail server could not be reached: {type(error).__name__}") from error

    def _connect(self) -> smtplib.SMTP:
        host, secure = self._parts.hostname or "localhost", self._parts.scheme == "smtps"
        if secure:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, self._parts.port or 465, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, self._parts.port or 25, timeout=TIMEOUT_SECONDS)
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            elif self._parts.password:
                server.close()
                raise MailError("the mail server offers no STARTTLS: the password is not sent in the clear")
        if self._parts.username:
            server.login(unquote(self._parts.username), unquote(self._parts.password or ""))
        return server


class FileMailer:
    """A folder; each mail becomes one ``.eml`` file, complete when it appears."""

    def __init__(self, folder: Path, *, sender: str, announce: bool = False) -> None:
        self.folder, self._sender, self._announce = folder, sender, announce

    def send(self, *, recipient: str, letter: Letter) -> None:
        """Write the file under another name, then rename it."""
        message = compose(sender=self._sender, recipient=recipient, letter=letter)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            number = len(list(self.folder.glob("*.eml"))) + 1
            name = f"{number:05d}-{uuid.uuid4().hex[:8]}.eml"
            unfinished = self.folder / (name + ".part")
            unfinished.write_bytes(message.as_bytes())
            unfinished.rename(self.folder / name)
        except OSError as error:
            raise MailError(f"the folder cannot be written: {error.strerror}") from error
        if self._announce:
            announce(recipient=recipient, letter=letter)


class ConsoleMailer:
    """Standard error, for development."""

    def __init__(self, *, sender: str) -> None:
        self._sender = sender

    def send(self, *, recipient: str, letter: Letter) -> None:
        """Print the mail."""
        message = compose(sender=self._sender, recipient=recipient, letter=letter)
        click.echo(message.as_string(), err=True)


class NullMailer:
    """No mail at all; confirmation then opens from the request's page."""

    def send(self, *, recipient: str, letter: Letter) -> None:
        """Take the mail and forget it."""


def announce(*, recipient: str, letter: Letter) -> None:
    """Show a demo mail on the terminal: subject and link."""
    link = re.search(r"^https?://\S+$", letter.text, re.MULTILINE)  # a name may hold a link too; ours stand alone
    click.echo(f"\n  mail to {recipient}: {letter.subject}\n    {link.group() if link else '(no link)'}\n")


@cache
def mailer(settings: Settings) -> Mailer:
    """Return the mailer that the settings name."""
    url, sender = settings.mail, settings.mail_from
    parts = urlsplit(url)
    if parts.scheme in ("smtp", "smtps"):
        return SmtpMailer(url, sender=sender)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder = folder if folder.is_absolute() else settings.data.absolute() / folder
        return FileMailer(folder, sender=sender, announce="announce" in parse_qs(parts.query, keep_blank_values=True))
    return ConsoleMailer(sender=sender) if url == "console:" else NullMailer()
