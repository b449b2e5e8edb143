"""What a product did wrong, in words that a person can use: short, and without a secret (P12)."""

from __future__ import annotations

import base64
import binascii
import re
import socket
import ssl
from collections.abc import Iterable, Iterator
from json import dumps
from urllib.parse import quote, urlsplit

import httpcore
import httpx

from instances.connectors.base import ConnectorError

EXCERPT = 80
MASK = "***"
WRONG_NAME, WRONG_ADDRESS = 62, 64
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
FOR_GOOD = frozenset({301, 308})
BREAKAGES = (
    (ssl.SSLError, "no TLS connection came about", "url"),
    (socket.gaierror, "its name is not known", "url"),
    (ConnectionRefusedError, "nothing listens there", "url"),
    (ConnectionError, "the connection broke", None),
    (httpcore.WriteError, "the connection broke", None),
)
MAY_PASS = frozenset({408, 409, 423, 425, 429})
"""Refusals that say *not now*; of the others below 500 asking again changes nothing."""


def address(url: str) -> str:
    """Return an address without what may be secret in it: name, password, query, fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return "(no address)"
    shown = f"[{host}]" if ":" in host else host
    return short(f"{parts.scheme}://{shown}{port}{parts.path}" if host else parts.path, 160)


def secrets_in(authorization: str) -> Iterator[str]:
    """Yield what must not be repeated of an ``Authorization`` header."""
    scheme, _, credentials = authorization.partition(" ")
    if not credentials:
        return
    yield credentials
    if scheme.lower() == "basic":
        try:
            yield base64.b64decode(credentials, validate=True).decode(errors="replace").partition(":")[2]
        except binascii.Error:
            return


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets, also where they are written as in an address or in JSON."""
    written = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), dumps(secret)[1:-1])}
    for form in sorted(written, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def refused(
    response: httpx.Response, what: str | None = None, *, secrets: Iterable[str] = (), setting: str | None = None
) -> ConnectorError:
    """Return the error for an answer that is not the one asked for: its status, its kind, how it begins.

    Parameters
    ----------
    what
        What is wrong with it; else its status says so.
    secrets
        What was sent in the body and must not be repeated; ``Authorization`` is known.
    setting
        The setting that is wrong if this is; by default none is named.
    """
    request, status = response.request, response.status_code
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()[:40] or "no type"
    begins = _quoted(response, [*secrets, *secrets_in(request.headers.get("Authorization", ""))])
    came = f"{what}: {status}, {kind}" if what else f"answered {status} ({kind})"
    text = f"{request.method} {address(str(request.url))}: {came}{begins}"
    return ConnectorError(text, permanent=400 <= status < 500 and status not in MAY_PASS, setting=setting)


def redirected(tried: str, response: httpx.Response, secrets: Iterable[str]) -> ConnectorError:
    """Return the error for a redirect, which is never followed."""
    there = masked(address(response.headers.get("Location", "")), secrets)
    text = f"{tried}: answered {response.status_code}, a redirect to {there}; redirects are not followed"
    return ConnectorError(text, permanent=response.status_code in FOR_GOOD, setting="url")


def broken(tried: str, error: Exception, secrets: Iterable[str]) -> ConnectorError:
    """Return the error for a connection that did not come about, or broke, or spoke something else than HTTP."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(tried, error)
    if isinstance(error, httpcore.RemoteProtocolError):
        return ConnectorError(f"{tried}: the answer is no HTTP: {short(masked(str(error), secrets), EXCERPT)}")
    if isinstance(error, httpcore.LocalProtocolError):
        return ConnectorError(f"{tried}: this cannot be sent; a header is not allowed in HTTP", permanent=True)
    for kind, what, setting in BREAKAGES:
        if isinstance(error, kind):
            return ConnectorError(f"{tried}: {what}", setting=setting)
    return ConnectorError(f"{tried}: the connection failed ({type(error).__name__})", setting="url")


def _untrusted(tried: str, error: ssl.SSLCertVerificationError) -> ConnectorError:
    if error.verify_code in {WRONG_NAME, WRONG_ADDRESS}:
        return ConnectorError(f"{tried}: its certificate is for another name", permanent=True, setting="url")
    why = short(error.verify_message or "", EXCERPT)
    return ConnectorError(f"{tried}: its certificate is not trusted: {why}", permanent=True, setting="ca_file")


def _quoted(response: httpx.Response, secrets: Iterable[str]) -> str:
    begins = short(masked(response.text[:2000], secrets), EXCERPT)
    return f": “{begins}”" if begins else ""


def short(text: str, length: int) -> str:
    """Return somebody else's words on one line, without what does not print, and no longer than that."""
    plain = re.sub(r"[^\w!-~]+", " ", text).strip()
    return plain if len(plain) <= length else f"{plain[: length - 1]}…"
