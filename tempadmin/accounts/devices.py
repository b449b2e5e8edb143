"""Devices in which somebody signed in fully before, known by a signed cookie (S12).

Guesses from a known device are counted by a counter of its own, so whoever guesses from elsewhere cannot lock the
owner out. The cookie opens nothing: all it says is which counter counts. It names accounts by keyed digests.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadSignature

from tempadmin.keys import Keys
from tempadmin.runtime import Runtime

PURPOSE = "device"
LIFETIME = timedelta(days=365)
MOST_ACCOUNTS = 5
MARK_LENGTH = 32


@dataclass(frozen=True, kw_only=True)
class Device:
    """A browser, and the accounts that signed in fully there, newest first."""

    id: str
    marks: tuple[str, ...]


def mark(*, instance_id: int, address: str, keys: Keys) -> str:
    """Return the keyed digest that stands for an address on an instance, whether or not it has an account (S42)."""
    return _marks(instance_id, address, keys)[0]


def known_id(*, cookie: str | None, instance_id: int, address: str, now: datetime, runtime: Runtime) -> str | None:
    """Return the device's id when this account signed in fully there before; else ``None``."""
    device = _read(cookie, now=now, runtime=runtime)
    marks = _marks(instance_id, address, runtime.keys)
    return device.id if device is not None and any(one in device.marks for one in marks) else None


def remember(*, cookie: str | None, instance_id: int, address: str, now: datetime, runtime: Runtime) -> str:
    """Return the cookie of a device in which this account has just signed in fully."""
    device = _read(cookie, now=now, runtime=runtime) or Device(id=secrets.token_urlsafe(16), marks=())
    own = _marks(instance_id, address, runtime.keys)
    marks = [own[0], *(other for other in device.marks if other not in own)][:MOST_ACCOUNTS]
    values = [device.id, marks, int(now.timestamp())]
    return str(runtime.keys.serializer(PURPOSE).dumps(values))


def _read(cookie: str | None, *, now: datetime, runtime: Runtime) -> Device | None:
    try:
        device_id, marks, since = runtime.keys.serializer(PURPOSE).loads(cookie or "")
    except BadSignature:
        return None
    if now.timestamp() - since >= LIFETIME.total_seconds():
        return None
    return Device(id=device_id, marks=tuple(marks))


def _marks(instance_id: int, address: str, keys: Keys) -> tuple[str, ...]:
    return tuple(digest[:MARK_LENGTH] for digest in keys.digests("account-mark", f"{instance_id}:{address}"))
