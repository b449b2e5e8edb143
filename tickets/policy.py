"""Who may ask, whose yes is needed, and how long an access may last. Pure: facts in, a decision or an error out."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import timedelta

from tempadmin.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited, Unreadable

OMNIADMIN_SIDE, CUSTOMER_SIDE, SUBJECT_SIDE = "omniadmin", "customer", "subject"
SHORTEST_REASON, LONGEST_REASON = 10, 2_000
LONGEST_EXTERNAL_TICKET = 200
MOST_OPEN, MOST_ASKED, MOST_REJECTED, MOST_WRONG_ADDRESSES = 10, 50, 3, 5
RETRY_AFTER_SECONDS = 3600
MOST_SECONDS = 10 * 365 * 24 * 3600
UNREADABLE = "What the database says of this access cannot be read, so it is not allowed. Run: tempadmin doctor"
OFFERED = tuple(timedelta(minutes=minutes) for minutes in (15, 30, 60, 120, 240, 480, 720, 1440))


@dataclass(frozen=True, kw_only=True)
class Asker:
    """The account that asks."""

    is_omniadmin: bool
    is_active: bool
    is_temporary: bool


@dataclass(frozen=True, kw_only=True)
class Target:
    """The instance that it asks for."""

    is_default: bool
    is_archived: bool
    require_omniadmin: bool
    require_customer: bool
    longest: timedelta | None


def refuse_asker(asker: Asker) -> None:
    """Let active omniadmins ask, and nobody else: never a temporary account (P8).

    Raises
    ------
    Forbidden
        With the reason.
    """
    if asker.is_temporary or not asker.is_omniadmin:
        raise Forbidden("Only omniadmins can ask for access.")
    if not asker.is_active:
        raise Forbidden("Your account is not active any more.")


@dataclass(frozen=True, kw_only=True)
class Lately:
    """What a person has asked for already."""

    open_everywhere: int
    asked_here_today: int
    rejected_here_today: int


def refuse_flood(lately: Lately) -> None:
    """Keep approvers from being worn out, and directories from being filled (S35).

    Raises
    ------
    RateLimited
        When the person has too many open requests, or asked for this instance too often within 24 hours.
    """
    if lately.rejected_here_today >= MOST_REJECTED:
        raise RateLimited(
            f"This instance said no to you {MOST_REJECTED} times within a day. Speak to them; ask again tomorrow.",
            retry_after=RETRY_AFTER_SECONDS,
        )
    if lately.asked_here_today >= MOST_ASKED:
        raise RateLimited(
            f"You asked for this instance {MOST_ASKED} times within a day. Ask again later.",
            retry_after=RETRY_AFTER_SECONDS,
        )
    if lately.open_everywhere >= MOST_OPEN:
        raise RateLimited(
            f"You have {MOST_OPEN} open requests. End or cancel one first.", retry_after=RETRY_AFTER_SECONDS
        )


def read_flag(value: object) -> bool:
    """Return a switch of an instance's policy.

    Raises
    ------
    Unreadable
        When it is neither on nor off: whoever cannot read a policy must not guess it (S36).
    """
    if not isinstance(value, bool):
        raise Unreadable(UNREADABLE)
    return value


def read_seconds(value: object) -> timedelta:
    """Return a length of time that was stored as seconds.

    Raises
    ------
    Unreadable
        When it is no whole number of one or more (S36).
    """
    if type(value) is not int or not 1 <= value <= MOST_SECONDS:
        raise Unreadable(UNREADABLE)
    return timedelta(seconds=value)


def refuse_wrong_addresses(today: int) -> None:
    """Keep an instance's people from being found out by trying addresses (S35).

    Raises
    ------
    RateLimited
        When the person tried too many within 24 hours.
    """
    if today >= MOST_WRONG_ADDRESSES:
        raise RateLimited(
            f"You gave {MOST_WRONG_ADDRESSES} wrong addresses here within a day. Ask the user; try again tomorrow.",
            retry_after=RETRY_AFTER_SECONDS,
        )


def refuse_target(target: Target) -> None:
    """Refuse instances that cannot be entered.

    Raises
    ------
    NotFound
        When the instance was archived.
    Conflict
        When it is the default instance: omniadmins work there under their own names.
    """
    if target.is_archived:
        raise NotFound("This instance was archived.")
    if target.is_default:
        raise Conflict("The default instance needs no access request: you are there already.")


def approvals_needed(target: Target, *, everywhere_omniadmin: bool, everywhere_customer: bool) -> frozenset[str]:
    """Return whose yes is needed: ``omniadmin``, ``customer``, both or nobody's.

    The operator's minimum holds for all instances; an instance's own switches only add to it.
    """
    needed = set()
    if everywhere_omniadmin or target.require_omniadmin:
        needed.add(OMNIADMIN_SIDE)
    if everywhere_customer or target.require_customer:
        needed.add(CUSTOMER_SIDE)
    return frozenset(needed)


def longest_duration(*, everywhere: timedelta, here: timedelta | None) -> timedelta:
    """Return the longest access that may be asked for; an instance can only lower it."""
    return everywhere if here is None else min(everywhere, here)


def durations_offered(*, default: timedelta, longest: timedelta) -> list[timedelta]:
    """Return what the duration field offers, always with the default (cut to the longest)."""
    return sorted({offer for offer in OFFERED if offer <= longest} | {min(default, longest)})


def checked_duration(duration: timedelta, *, longest: timedelta) -> timedelta:
    """Return the duration in whole seconds.

    Raises
    ------
    Invalid
        When it is under a second or over the longest.
    """
    seconds = int(duration.total_seconds())
    if seconds < 1:
        raise Invalid("An access lasts a second or more.", field="duration")
    if duration > longest:
        minutes = int(longest.total_seconds() // 60)
        raise Invalid(f"An access here lasts {minutes} minutes at most. Choose a shorter time.", field="duration")
    return timedelta(seconds=seconds)


def checked_reason(reason: str) -> str:
    """Return the reason without what nobody can see at its ends (S35).

    Raises
    ------
    Invalid
        When it is shorter than 10 or longer than 2,000 characters.
    """
    cleaned = _visible(reason, keep="\n").strip()
    if not SHORTEST_REASON <= len(cleaned) <= LONGEST_REASON:
        raise Invalid(
            f"Give a reason of {SHORTEST_REASON} to {LONGEST_REASON:,} characters; the customer reads it. "
            f"This one has {len(cleaned):,}.",
            field="reason",
        )
    return cleaned


def checked_external_ticket(text: str | None) -> str | None:
    """Return the external ticket's name on one line, or ``None`` when none was given.

    Raises
    ------
    Invalid
        When it is longer than 200 characters.
    """
    cleaned = " ".join(_visible(text or "").split())
    if len(cleaned) > LONGEST_EXTERNAL_TICKET:
        raise Invalid(f"Give at most {LONGEST_EXTERNAL_TICKET} characters.", field="external_ticket")
    return cleaned or None


def _visible(text: str, *, keep: str = "") -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(sign if sign in keep or unicodedata.category(sign) != "Cc" else " " for sign in text)
