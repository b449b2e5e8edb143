"""Tickets that were refused, and why: counted, since a refusal leaves no row that would say so."""

from __future__ import annotations

from enum import StrEnum

from flask import Flask

from tempadmin.metrics.registry import Tally, count, registry
from tickets.models import CONFIRM, LOGIN


class Why(StrEnum):
    """Why a ticket did not open what it was shown for."""

    UNKNOWN = "unknown"
    """No ticket of this instance and purpose has that key."""
    USED = "used"
    VOIDED = "voided"
    EXPIRED = "expired"
    OTHER_TAB = "other_tab"
    """The code was made for another browser, or is too old; the ticket still works."""
    WRONG_CODE = "wrong_code"
    OVER = "over"
    """The request has moved on, or is over."""
    NOT_ALLOWED = "not_allowed"
    """The people or the policy that it speaks of have changed."""


REFUSED = Tally(
    name="tempadmin_tickets_refused_total",
    help="Tickets that were shown and refused, by reason.",
    labels={"purpose": (CONFIRM, LOGIN), "reason": tuple(Why)},
)


def init_app(app: Flask) -> None:
    """Register the tally."""
    registry(app).tallies.append(REFUSED)


def refused(purpose: str, why: Why) -> None:
    """Count a refusal."""
    count(REFUSED, purpose, why)
