"""The check of where mail goes: the folder takes files, or the server says EHLO in time."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tempadmin.doctor.findings import Finding, error, ok, said, warning
from tempadmin.outbox.mail import TIMEOUT_SECONDS, FileMailer, MailError, SmtpMailer, mailer
from tempadmin.runtime import Runtime


def mail(runtime: Runtime) -> Iterator[Finding]:
    """Try everything but sending."""
    found = mailer(runtime.settings)
    if isinstance(found, SmtpMailer):
        yield _server(found)
    elif isinstance(found, FileMailer):
        yield _folder(found.folder)
    elif runtime.settings.mail == "none":
        yield ok("no mail is sent; confirmations open from the request's page")
    else:
        yield ok("mail goes to standard error")


def _server(server: SmtpMailer) -> Finding:
    began = time.monotonic()
    try:
        server.greet()
    except MailError as reason:
        return error(f"{server.address}: {said(reason)}", "check mail_url, and that this machine may reach the server")
    took = time.monotonic() - began
    if took > TIMEOUT_SECONDS:
        return warning(f"{server.address} took {took:.1f} s to answer", "a slow mail server keeps people waiting")
    return ok(f"{server.address} answers")


def _folder(folder: Path) -> Finding:
    """Try the folder, or the nearest one above that exists: it is made with the first mail."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    advice = "let the user that runs tempadmin write there, or choose another mail_url"
    try:
        if not os.access(there, os.W_OK | os.X_OK):
            return error(f"{there} cannot be written", advice)
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as reason:
        return error(f"{there} cannot be written: {reason.strerror}", advice)
    return ok(f"{folder} can be written" if there == folder else f"{folder} will be made with the first mail")
