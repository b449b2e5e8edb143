"""What design §2 says of an access request, as a small pure model: who may do what next, and what time does to it.

Written from the design, not from the code. Each method answers as the real use case should: ``DONE``, or the name of
its refusal. Where the design leaves a moment open (the next try of a job), the model says what may and what must be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

DONE = "done"
PROVISIONING, AWAITING, READY, ACTIVE = "provisioning", "awaiting_confirmation", "ready", "active"
ENDING, ENDED = "ending", "ended"
FOLLOWING = {PROVISIONING: AWAITING, AWAITING: READY, READY: ACTIVE}
EVENTS = {
    PROVISIONING: "access.requested",
    AWAITING: "access.provisioned",
    READY: "access.confirmed",
    ACTIVE: "access.entered",
    ENDING: "access.ending",
    ENDED: "access.ended",
}
CONFIRM, LOGIN = "confirm", "login"

TICKET, CODE, STEP = timedelta(minutes=5), timedelta(seconds=60), 30
REISSUED, MAILS = timedelta(minutes=30), 3
TRIES, TRIED_FOR = 3, timedelta(seconds=60)
LONGEST_PAUSE = timedelta(minutes=75)
DURATION, IDLE = timedelta(hours=1), timedelta(minutes=30)


@dataclass
class Person:
    """An omniadmin, their device, and their wrong answers (S10, S12)."""

    active: bool = True
    last_step: int = 0
    wrong: int = 0
    blocked_until: datetime | None = None

    def answers(self, *, right: bool, now: datetime) -> str:
        """Give a second factor: the present code, or a wrong one."""
        if self.blocked_until is not None and now < self.blocked_until:
            return "RateLimited"
        step = int(now.timestamp()) // STEP
        if right and step > self.last_step:
            self.last_step, self.wrong, self.blocked_until = step, 0, None
            return DONE
        if not right:
            self.wrong += 1
            if self.wrong >= 5:
                self.blocked_until = now + min(timedelta(seconds=30) * 2 ** (self.wrong - 5), timedelta(hours=1))
        return "Invalid"


@dataclass
class Link:
    """A ticket as its holder sees it; a login ticket carries at most one code, for one browser."""

    purpose: str
    expires_at: datetime
    spent: bool = False
    code_for: object = None
    code_until: datetime | None = None

    def works(self, now: datetime) -> bool:
        return not self.spent and now < self.expires_at


@dataclass
class Request:
    """One access request of a person."""

    person: Person
    asked_at: datetime
    state: str = PROVISIONING
    path: list[str] = field(default_factory=lambda: [PROVISIONING])
    reason: str | None = None
    links: list[Link] = field(default_factory=list)
    tries: int = 0
    last_try: datetime | None = None
    provisioned_at: datetime | None = None
    mails: int = 0
    sessions: int = 0
    ends_at: datetime | None = None
    seen_at: datetime | None = None
    touched_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.state not in (ENDING, ENDED)

    @property
    def live(self) -> list[Link]:
        """Links that were neither used nor voided; time alone spends none."""
        return [link for link in self.links if not link.spent]

    def go(self, state: str) -> None:
        """Move on, in the only directions that there are."""
        assert state == FOLLOWING.get(self.state) or (state == ENDING and self.is_open) or self.state == ENDING
        self.state = state
        self.path.append(state)

    def end(self, reason: str, *, now: datetime, removable: bool) -> None:
        """End: access is over at once; the account goes at once where its directory is well."""
        self.reason, self.touched_at = reason, now
        for link in self.links:
            link.spent = True
        self.go(ENDING)
        if self.tries == 0 or (removable and self.state_is_proven(now)):
            self.go(ENDED)

    def state_is_proven(self, now: datetime) -> bool:
        """Whether no create can take effect any more, so that a read-back counts."""
        return self.provisioned_at is not None or self.last_try is None or now >= self.last_try + timedelta(seconds=10)

    def issue(self, purpose: str, expires_at: datetime) -> Link:
        """At most one live ticket per purpose: a new one voids the former."""
        for link in self.links:
            link.spent = link.spent or link.purpose == purpose
        self.links.append(Link(purpose, expires_at))
        return self.links[-1]

    def made(self, now: datetime) -> None:
        """The account exists, and the confirmation is mailed."""
        self.provisioned_at, self.mails = now, 1
        self.go(AWAITING)
        self.issue(CONFIRM, now + TICKET)

    def confirms(self, link: Link, *, mine: bool, right: bool, now: datetime) -> str:
        """The requester's second factor, for this request."""
        if not mine:
            return "NotFound"
        if not self.person.active:
            return "Forbidden"
        if self.state != AWAITING:
            return "Conflict"
        if not link.works(now):
            return "Gone"
        answer = self.person.answers(right=right, now=now)
        if answer == DONE:
            link.spent = True
            self.go(READY)
            self.issue(LOGIN, now + TICKET)
        return answer

    def renews(self, purpose: str, *, mine: bool, now: datetime) -> str:
        """Send again, or a new sign-in link: while the present one works, and never past 30 minutes."""
        if not mine:
            return "NotFound"
        if not self.person.active:
            return "Forbidden"
        wanted = AWAITING if purpose == CONFIRM else READY
        if self.state != wanted or not any(link.works(now) for link in self.live) or self.provisioned_at is None:
            return "Conflict"
        last = self.provisioned_at + REISSUED
        if now >= last or (purpose == CONFIRM and self.mails > MAILS):
            return "Conflict"
        self.mails += purpose == CONFIRM
        self.issue(purpose, min(now + TICKET, last))
        return DONE

    def fetches_code(self, browser: object, *, mine: bool, now: datetime) -> str:
        """The console puts a code for a browser on the live ticket, in the place of a former one."""
        if not mine:
            return "NotFound"
        if not self.person.active:
            return "Forbidden"
        if self.state != READY:
            return "Conflict" if self.is_open else "Gone"
        (link,) = self.live
        if not link.works(now):
            return "Gone"
        link.code_for, link.code_until = browser, now + CODE
        return DONE

    def redeems(self, link: Link, browser: object, now: datetime) -> str:
        """A browser comes back with its code, which is burned in any case; its ticket only if it enters."""
        fits = link.code_for is browser and link.code_until is not None and now < link.code_until
        for one in self.links:
            if one.code_for is browser:
                one.code_for = None
        if self.state != READY or not link.works(now) or not self.person.active:
            return "Gone"
        if not fits:
            return "OtherTab"
        link.spent = True
        self.go(ACTIVE)
        self.sessions += 1
        self.ends_at, self.seen_at = now + DURATION, now
        return DONE

    def serves(self, now: datetime) -> bool:
        """Whether its support session is shown a page."""
        if self.state != ACTIVE or self.ends_at is None or self.seen_at is None:
            return False
        if now >= self.ends_at or now >= self.seen_at + IDLE:
            return False
        self.seen_at = now
        return True

    def over(self, now: datetime) -> str | None:
        """Why the job ends it now, if it does."""
        if self.state in (AWAITING, READY):
            return None if any(link.works(now) for link in self.live) else "lapsed"
        if self.state != ACTIVE or self.ends_at is None or self.seen_at is None:
            return None
        if now >= self.ends_at:
            return "time_limit"
        return "idle" if now >= self.seen_at + IDLE else None
