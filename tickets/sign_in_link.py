"""The one-time link, as the page shows it that answers a confirmation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from tempadmin.runtime import Runtime
from tickets.models import LOGIN, AccessRequest

SHOWN = ("public_id", "instance_id", "instance_name", "entry", "duration_seconds")
"""What the page says of the request."""


@dataclass(frozen=True, kw_only=True)
class SignInLink:
    """A login ticket's key, in the answer to the POST that made it and nowhere else, and what it opens."""

    public_id: str
    """The request's."""
    instance_id: int
    instance_name: str
    entry: str
    duration_seconds: int
    key: str
    expires_at: datetime


def sign_in_link(
    request: AccessRequest | Row[Any],
    issue: Callable[..., str],
    *,
    now: datetime,
    expires_at: datetime,
    runtime: Runtime,
) -> SignInLink:
    """Have a login ticket made in the open transaction by ``tokens.issue`` or ``issue_first``; return what is shown."""
    key = issue(request_id=request.id, purpose=LOGIN, now=now, expires_at=expires_at, runtime=runtime)
    return SignInLink(**{name: getattr(request, name) for name in SHOWN}, key=key, expires_at=expires_at)
