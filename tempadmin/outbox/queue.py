"""The queue: a mail is written in the transaction that causes it, tried right after, and retried by a job.

A mail server is never called inside a transaction (design §2): a message is claimed, the claim committed, the mail
sent, the outcome committed. A worker that dies between the two sends a mail twice rather than never.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from flask import Flask, current_app, g, has_request_context
from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.exc import OperationalError

from tempadmin.db import after_commit, db, run, transaction
from tempadmin.failpoints import reach
from tempadmin.outbox.letter import Letter, write
from tempadmin.outbox.mail import MailError, mailer
from tempadmin.outbox.models import OutboxMessage
from tempadmin.runtime import Runtime, current_runtime

EXTENSION = "tempadmin.composers"
SEAL_PURPOSE = "outbox"
CLAIM = timedelta(seconds=60)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)
SEND_WITHIN = timedelta(seconds=20)
"""How long after its claim a mail is still begun: sending one may take as long again, and more."""
BATCH = 10
AT_WORK = timedelta(seconds=60)
"""How long one run of the job goes on while mails are due; its next one is due by then."""
POINTLESS = "pointless by the time it could be sent"

log = structlog.get_logger()

Composer = Callable[[dict[str, int], str | None, Runtime], "dict[str, Any] | None"]
"""Turns ids and the secret into the template's variables; ``None`` when the mail has become pointless."""


# Built once: somebody waits for the page while a mail is queued and tried.
_MAILS = cast(Table, OutboxMessage.__table__)
_THIS = update(_MAILS).where(_MAILS.c.id == bindparam("message"))
ADD, ADD_ALL = insert(_MAILS).returning(_MAILS.c.id), insert(_MAILS).inline()
KEEP_SECRET = _THIS.values(sealed_secret=bindparam("sealed"))
CLAIM_ONE = (
    _THIS.where(_MAILS.c.next_attempt_at <= bindparam("now"))
    .values(next_attempt_at=bindparam("until"), attempts=_MAILS.c.attempts + 1)
    .returning(_MAILS.c.recipient)
)
SETTLE = _THIS.values(
    sent_at=bindparam("sent"), next_attempt_at=None, sealed_secret=None, last_error=bindparam("error")
)


def is_off() -> bool:
    """Tell whether this installation sends no mail: none is queued then, and nobody need be found to tell."""
    return current_runtime().settings.mail == "none"


def composers(app: Flask) -> dict[str, Composer]:
    """Return the composers that modules register, by template name."""
    return cast("dict[str, Composer]", app.extensions.setdefault(EXTENSION, {}))


def enqueue(
    template: str,
    *,
    recipient: str,
    ids: dict[str, int],
    now: datetime,
    runtime: Runtime,
    secret: str | None = None,
    request_id: int | None = None,
    useful_until: datetime | None = None,
    promptly: bool = True,
) -> None:
    """Add a mail to the open transaction; it is tried once right after the commit.

    Parameters
    ----------
    template
        Name of the template in ``mail/`` and of its composer.
    secret
        What makes the mail's link work; sealed with the row's id, erased when the mail is sent.
    useful_until
        After this moment the mail is dropped, and its secret erased.
    promptly
        Try it right after the commit, before the answer; not so where one deed has many mails: the job takes those.
    """
    if template not in composers(current_app):
        raise ValueError(f"no composer is registered for {template!r}")
    if is_off():
        return
    row = {
        "template": template,
        "recipient": recipient,
        "ids": json.dumps(ids),
        "request_id": request_id,
        "created_at": now,
        "useful_until": useful_until,
        "next_attempt_at": now,
    }
    message_id: int = run(ADD, row).scalar_one()
    if secret is not None:
        sealed = runtime.keys.seal(SEAL_PURPOSE, secret.encode(), owner=f"message:{message_id}")
        run(KEEP_SECRET, {"message": message_id, "sealed": sealed})
    if promptly:
        after_commit(lambda: _deliver_quietly(message_id))


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail without a secret, as ``enqueue`` takes it."""

    template: str
    recipient: str
    ids: dict[str, int]
    request_id: int | None


def enqueue_all(mails: Sequence[Mail], *, now: datetime) -> None:
    """Add mails to the open transaction, in one statement however many they are; the job delivers them."""
    if unknown := {mail.template for mail in mails} - composers(current_app).keys():
        raise ValueError(f"no composer is registered for {unknown}")
    fixed = {"created_at": now, "next_attempt_at": now, "attempts": 0}
    rows = [{**vars(mail), "ids": json.dumps(mail.ids), **fixed} for mail in mails]
    if rows and not is_off():
        run(ADD_ALL, rows)


def deliver_due(runtime: Runtime) -> str:
    """Try every mail that is due; the job's work."""
    tried, sent, until = 0, 0, runtime.now() + AT_WORK
    while runtime.now() < until:
        batch = _claim_due(runtime)
        begun = runtime.now()
        for message_id, recipient in batch:
            # A mail server on a slow day: what is left comes due again before its claim could be somebody else's, too.
            if runtime.now() - begun < SEND_WITHIN:
                tried, sent = tried + 1, sent + _send(message_id, recipient, runtime)
        if len(batch) < BATCH:
            break
    return f"{sent} of {tried} mails sent"


def deliver(message_id: int, runtime: Runtime) -> bool:
    """Claim one mail, send it, write down how it went; tell whether it was sent."""
    recipient = _claim(message_id, runtime)
    return recipient is not None and _send(message_id, recipient, runtime)


def _send(message_id: int, recipient: str, runtime: Runtime) -> bool:
    """Send a mail that was claimed."""
    try:
        letter = _compose(message_id, runtime)
        if letter is None:
            _settle(message_id, now=runtime.now(), error=POINTLESS)
            return False
        reach("before send")
        mailer(runtime.settings).send(recipient=recipient, letter=letter)
        reach("after send")
    except OperationalError:
        raise  # the database is away; the claim lapses by itself
    except MailError as error:
        log.warning("mail.failed", message_id=message_id, error=str(error), permanent=error.permanent)
        _postpone(message_id, now=runtime.now(), error=str(error), permanent=error.permanent)
        return False
    except Exception as error:  # one mail that cannot be made holds no other up
        log.exception("mail.not_made", message_id=message_id)
        _postpone(message_id, now=runtime.now(), error=f"it could not be made: {type(error).__name__}", permanent=False)
        return False
    _settle(message_id, now=runtime.now(), error=None)
    return True


def _deliver_quietly(message_id: int) -> None:
    """Right after the commit: a mail server on a bad day must not spoil what was committed; the job tries again.

    One attempt that failed is enough for a request: each may wait for the server's time-outs, and people for the page.
    """
    if has_request_context() and g.get("mail_failed", False):
        return
    try:
        if not deliver(message_id, current_runtime()) and has_request_context():
            g.mail_failed = True
    except Exception:
        db.session.rollback()
        log.exception("mail.not_tried", message_id=message_id)


def _claim(message_id: int, runtime: Runtime) -> str | None:
    """Take the next attempt and return the recipient, or ``None`` when it is not due or somebody else's."""
    with transaction(as_service=True):
        now = runtime.now()
        recipient: str | None = run(CLAIM_ONE, {"message": message_id, "now": now, "until": now + CLAIM}).scalar()
        return recipient


def _claim_due(runtime: Runtime) -> list[tuple[int, str]]:
    """Take the next attempts of some mails that are due, past those that somebody else takes at this moment.

    First what is of use for minutes only: no link may run out behind ten thousand announcements.
    """
    with transaction(as_service=True):
        now = runtime.now()
        is_due = OutboxMessage.next_attempt_at <= now
        order = OutboxMessage.useful_until.is_(None), OutboxMessage.next_attempt_at, OutboxMessage.id
        due = select(OutboxMessage.id).where(is_due).order_by(*order)
        ids = db.session.scalars(due.limit(BATCH).with_for_update(skip_locked=True)).all()
        claim = update(OutboxMessage).where(OutboxMessage.id.in_(ids), is_due)
        taken = claim.values(next_attempt_at=now + CLAIM, attempts=OutboxMessage.attempts + 1)
        mails = db.session.execute(taken.returning(OutboxMessage.id, OutboxMessage.recipient)).all()
    return sorted((message_id, recipient) for message_id, recipient in mails)


def _compose(message_id: int, runtime: Runtime) -> Letter | None:
    """Put a claimed mail into words; ``None`` when it has become pointless."""
    db.session.rollback()
    row = db.session.get_one(OutboxMessage, message_id)
    if row.useful_until is not None and runtime.now() >= row.useful_until:
        return None
    secret = None
    if row.sealed_secret is not None:
        secret = runtime.keys.unseal(SEAL_PURPOSE, row.sealed_secret, owner=f"message:{row.id}").decode()
    words = composers(current_app)[row.template](json.loads(row.ids), secret, runtime)
    return None if words is None else write(row.template, words)


def _settle(message_id: int, *, now: datetime, error: str | None) -> None:
    """Mark a mail as done with; the same UPDATE erases its secret."""
    with transaction(as_service=True):
        run(SETTLE, {"message": message_id, "sent": None if error else now, "error": error})


def _postpone(message_id: int, *, now: datetime, error: str, permanent: bool) -> None:
    with transaction(as_service=True):
        row = db.session.get_one(OutboxMessage, message_id, populate_existing=True)
        row.last_error = error[:300]
        pause = min(FIRST_PAUSE * 2 ** min(row.attempts - 1, 10), LONGEST_PAUSE)
        row.next_attempt_at = now + pause
        if permanent or now - row.created_at >= GIVE_UP_AFTER:
            row.next_attempt_at, row.sealed_secret = None, None
