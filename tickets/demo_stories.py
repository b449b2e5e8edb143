"""What happened in the demo world before it was made, oldest first; all of it is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tickets.states import EndReason

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What somebody said when they were asked, some time later."""

    by: str
    yes: bool = True
    note: str | None = None
    after: timedelta = 9 * MINUTE


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One page of a support session; a form is opened first, and sent with these values."""

    page: str
    form: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Story:
    """One request, from asking to its end."""

    ago: timedelta
    web_id: str
    who: str
    reason: str
    external_ticket: str | None = None
    subject: str | None = None
    """Impersonation: the user who was asked."""
    answers: tuple[Answer, ...] = ()
    starts: bool = True
    """Whether the requester went on once it was approved; if not, it lapsed."""
    inside: timedelta | None = None
    """How long somebody was inside; nobody was when the way in lapsed unused."""
    visits: tuple[Visit, ...] = ()
    more_time: tuple[str, timedelta, Answer] | None = None
    """A reason, how much, and what was said to it."""
    end: EndReason = EndReason.LOGOUT
    ended_by: str | None = None
    vouched_by: str | None = None
    """Who vouched, a day later, for the accounts that were made inside."""


def _looks(*pages: str) -> tuple[Visit, ...]:
    return tuple(Visit(page=page) for page in pages)


ADA, JON = "ada@operator.example", "jon@operator.example"
MARIA, SOFIE = "maria@birch.example", "sofie@birch.example"

STORIES = (
    Story(
        ago=12 * DAY,
        web_id="elm-bank",
        who=ADA,
        reason="Sign-in with the branch terminals fails since the certificates were renewed.",
        external_ticket="HELP-2188",
        answers=(
            Answer(by=JON, note="Seen with the bank on the phone."),
            Answer(by="hugo@elm.example", note="Settings only, please."),
        ),
        inside=35 * MINUTE,
        visits=_looks("/", "/settings", "/users", "/users/{ana@elm.example}", "/audit", "/settings"),
    ),
    Story(
        ago=9 * DAY,
        web_id="birch-health",
        who=JON,
        reason="Search finds nothing in Danish; we need to look at the index settings.",
        external_ticket="HELP-2195",
        answers=(Answer(by=MARIA, yes=False, note="Not this week: our yearly audit runs until Friday."),),
    ),
    Story(
        ago=6 * DAY,
        web_id="birch-health",
        who=JON,
        reason="Search finds nothing in Danish; you asked us to look at it after the audit.",
        external_ticket="HELP-2195",
        answers=(Answer(by=MARIA, note="Now is fine. Please add Nils Aaby, he starts on Monday."),),
        inside=44 * MINUTE,
        visits=(
            *_looks("/", "/settings", "/users"),
            Visit(
                page="/users/invite", form={"full_name": "Nils Aaby", "email": "nils@birch.example", "role": "member"}
            ),
            Visit(page="/support-access/policy", form={"longest": "28800"}),
            Visit(page="/users"),
        ),
        end=EndReason.ENDED_BY_CUSTOMER,
        ended_by=MARIA,
        vouched_by=MARIA,
    ),
    Story(
        ago=4 * DAY,
        web_id="cobalt",
        who=JON,
        reason="The nightly export has stopped; we need to see its settings.",
    ),
    Story(
        ago=3 * DAY,
        web_id="cobalt",
        who=JON,
        reason="The nightly export has stopped; we need to see its settings.",
        external_ticket="HELP-2204",
        answers=(Answer(by=ADA),),
        inside=90 * MINUTE,
        visits=_looks("/", "/settings", "/users", "/users/{emil@cobalt.example}", "/settings", "/users"),
        more_time=("The export runs now; we wait for its first file.", 30 * MINUTE, Answer(by=ADA, after=MINUTE)),
        end=EndReason.TIME_LIMIT,
    ),
    Story(
        ago=50 * HOUR,
        web_id="delta",
        who=ADA,
        reason="Reset of the mail gateway after the certificate ran out.",
        external_ticket="HELP-2207",
        inside=22 * MINUTE,
        visits=_looks("/", "/settings", "/users"),
    ),
    Story(
        ago=28 * HOUR,
        web_id="birch-health",
        who=ADA,
        reason="You see no rooms in your calendar, and we do not see why from here.",
        external_ticket="HELP-2219",
        subject=SOFIE,
        answers=(Answer(by=SOFIE, note="Thank you! The third floor is what I miss.", after=4 * MINUTE),),
        inside=13 * MINUTE,
        visits=_looks("/", "/support-access", "/account", "/users", "/"),
        end=EndReason.ENDED_BY_SUBJECT,
        ended_by=SOFIE,
    ),
    Story(
        ago=26 * HOUR,
        web_id="birch-health",
        who=ADA,
        reason="The start page shows an empty banner since the update.",
        external_ticket="HELP-2231",
        answers=(Answer(by=MARIA),),
        starts=False,
    ),
    Story(ago=20 * HOUR, web_id="delta", who=JON, reason="A second look at the mail gateway after the night."),
    Story(
        ago=3 * HOUR,
        web_id="acme",
        who=ADA,
        reason="Search finds nothing in Danish; we look at the index settings.",
        inside=60 * MINUTE,
        visits=_looks("/", "/settings", "/users", "/users/{liam@acme.example}"),
        end=EndReason.TIME_LIMIT,
    ),
)
