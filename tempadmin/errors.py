"""The domain's errors.

Use cases raise these and know no HTTP; ``tempadmin.web.errors`` maps each to a status, once. Every message is a
sentence for the person who reads the page: what happened, and where it helps, what to do.
"""

from __future__ import annotations


class DomainError(Exception):
    """Base of everything that a use case raises on purpose."""

    def __init__(self, message: str, *, next_url: str | None = None, next_label: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_url = next_url
        self.next_label = next_label


class NotFound(DomainError):
    """There is no such thing, or the asker may not know of it (404)."""


class Forbidden(DomainError):
    """The asker may know of it, and may not do it (403)."""


class Unreadable(Forbidden):
    """What the database says cannot be read, so nothing is allowed (403, S36)."""


class Conflict(DomainError):
    """The world has moved on since the page was made: a stale button, a late ticket, a lost race (409)."""


class Gone(DomainError):
    """A link that worked once, or until a time that has passed (410)."""


class Invalid(DomainError):
    """What was typed cannot be taken; ``field`` names the form field that it belongs to (400)."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class RateLimited(DomainError):
    """Too many tries; ``retry_after`` is in seconds (429 with ``Retry-After``)."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)


class Unavailable(DomainError):
    """The database or a connector does not answer now; trying again is right (503 with ``Retry-After``)."""
