"""Addresses of a product: what may be registered, and what may not (RFC 9700, 2.1 and 4.1)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from instances.connectors.http import usable_ca, usable_url
from tempadmin.errors import Invalid
from tickets.provider.models import LONGEST_URI

PLAIN = re.compile(r"[!#-;=?-\[\]-~]+")
"""All of ASCII that is printed, but for the space, quotation marks, angle brackets and the backslash."""


def checked(address: str, *, field: str) -> str:
    """Return an address that a browser may be sent to, or that we call.

    It is compared letter by letter later, so it is kept as it was given. Plain http is for this very machine alone.

    Raises
    ------
    Invalid
        It says what is wrong with the address.
    """
    try:
        _refuse_odd(address)
        return usable_url(address)
    except ValueError as error:
        raise Invalid(f"{field}: {error}: {address[:120]!r}", field=field) from None


def checked_ca(pem: str) -> str:
    """Return certificates that can be trusted; raises ``Invalid``."""
    try:
        return usable_ca(pem)
    except ValueError as error:
        raise Invalid(f"ca_file: {error}", field="ca_file") from None


def _refuse_odd(address: str) -> None:
    if len(address) > LONGEST_URI:
        raise ValueError(f"it is longer than {LONGEST_URI} letters")
    if not PLAIN.fullmatch(address):
        raise ValueError("it has a letter that has to be percent-encoded")
    if "#" in address:
        raise ValueError("it has a fragment")
    if "*" in (urlsplit(address).hostname or ""):
        raise ValueError("it has a wildcard, and addresses are compared letter by letter")
