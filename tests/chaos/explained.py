"""Does the history explain the final state? Each event was somebody's deed or a limit, each acknowledged deed has one.

An operation that was acknowledged lies between its beginning and its end, one whose outcome nobody knows at any moment
after its beginning, and one that was refused nowhere at all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.checker import of_requests
from tests.chaos.final import CLOCK_ERROR, CLOCKS_APART, Final, Row, seconds
from tests.chaos.history import OK, History, Operation
from tests.chaos.verdicts import Broken, Verdict

DEEDS = {
    "request": "access.requested",
    "start": "access.started",
    "approve": "access.approved",
    "reject": "access.rejected",
    "send-again": "access.confirmation_sent_again",
    "confirm": "access.confirmed",
    "new_link": "access.new_link",
    "enter": "access.code_issued",
    "redeem": "access.entered",
    "change": "instance.changed",
}
"""What somebody does to a request, and the event that shows it."""

ENDED_BY = {
    "logout": "leave",
    "cancelled": "cancel",
    "not_me": "not_me",
    "rejected": "reject",
    "ended_by_requester": "end",
    "ended_by_omniadmin": "end_by_omniadmin",
    "ended_by_customer": "end_by_customer",
    "requester_signed_out": "sign_out",
    "replaced": "redeem",
}
ATTEMPTS, WINDOW_SECONDS = 3, 60


@dataclass(frozen=True)
class Limits:
    """The settings by which accesses end by themselves, in seconds."""

    approval: float
    idle: float


def acknowledged_deeds_stand(history: History, final: Final) -> Verdict:
    """Nothing acknowledged is lost, and nothing stands there that nobody did."""
    wanted: defaultdict[tuple[object, ...], list[Operation]] = defaultdict(list)
    known = {row["public_id"]: row["id"] for row in final.requests}
    reasons = {row["reason"]: row["public_id"] for row in final.requests}
    checked = 0
    for one in history.of(*DEEDS):
        request = reasons.get(one.facts["reason"]) if one.kind == "request" else one.request
        if one.kind == "request" and one.outcome == OK and one.found["request"] in known.keys() - {request}:
            continue  # it was shown the one that was open already
        if one.may_have_happened:
            checked += one.outcome == OK
            wanted[known.get(request or ""), DEEDS[one.kind], one.facts["person"], one.facts.get("name")].append(one)
    events: defaultdict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in final.events:
        if row["event"] in DEEDS.values() and row["request_id"] is not None:
            name = json.loads(row["details"])["name"] if row["event"] == "instance.changed" else None
            events[row["request_id"], row["event"], row["actor_id"], name].append(row)
    broken = [
        problem for key in sorted({*wanted, *events}, key=str) for problem in _match(key, wanted[key], events[key])
    ]
    return Verdict("nothing acknowledged is lost, nothing comes from nowhere", checked, broken)


def ends_are_explained(history: History, final: Final, limits: Limits) -> Verdict:
    """Each end was somebody's deed, or the limit that it names had passed; each acknowledged end is the one."""
    story, by_id = _Story(history, final, limits), {str(row["public_id"]): row for row in final.requests}
    problems = ((row, story.problem_of(row)) for row in final.requests if row["ending_at"] is not None)
    broken = [
        Broken(f"{row['public_id']} ended as {row['end_reason']} at {row['ending_at']}: {problem}")
        for row, problem in problems
        if problem is not None
    ]
    broken += [
        Broken(f"{one.kind} of {one.request} was acknowledged and did not end it", (one.number,))
        for one in history.of(*(kind for kind in ENDED_BY.values() if kind not in ("redeem", "sign_out")))
        if one.outcome == OK and ENDED_BY.get(by_id.get(str(one.request), {}).get("end_reason", "")) != one.kind
    ]
    return Verdict("the history explains every end", len(final.requests), broken)


class _Story:
    """A history and a final state, put in order for questions about one request."""

    def __init__(self, history: History, final: Final, limits: Limits) -> None:
        self._history, self._limits, self._events = history, limits, of_requests(final)
        self._tickets: defaultdict[int, list[Row]] = defaultdict(list)
        for row in final.tickets:
            self._tickets[row["request_id"]].append(row)
        self._deeds: defaultdict[tuple[str, str | None], list[Operation]] = defaultdict(list)
        for one in history.operations:
            if one.may_have_happened:
                self._deeds[one.kind, one.request].append(one)

    def problem_of(self, row: Row) -> str | None:
        """Say why a request's end cannot be, or nothing."""
        reason, at = row["end_reason"], seconds(row["ending_at"])
        if reason in ENDED_BY:
            return self._not_done(row, ENDED_BY[reason], at)
        limit: dict[str, Callable[[Row, float], bool]] = {
            "lapsed": self._has_lapsed,
            "time_limit": lambda one, now: seconds(one["ends_at"]) <= now + CLOCKS_APART,
            "idle": self._was_idle,
            "provisioning_failed": _was_tried,
        }
        if reason not in limit:
            return "nothing here ends accesses so"
        return None if limit[reason](row, at) else "its limit was not reached"

    def _not_done(self, row: Row, kind: str, at: float) -> str | None:
        """Say that nobody did what the reason says, at that moment."""
        if kind == "redeem":
            done = self._replacing(row)
        elif kind == "sign_out":
            done = self._deeds[kind, None]
        else:
            done = self._deeds[kind, row["public_id"]]
        actors = [one["actor_id"] for one in self._events.get(row["id"], []) if one["event"] == "access.ending"]
        fit = [one for one in done if one.facts["person"] in actors and one.wall - CLOCK_ERROR <= at]
        fit = [one for one in fit if one.outcome != OK or at <= (one.wall_ended or at) + CLOCK_ERROR]
        return None if fit else f"nobody did that, only {[one.number for one in done]}"

    def _replacing(self, row: Row) -> list[Operation]:
        """Redemptions of other requests, in a browser that held this one's session."""
        mine = {one.found["session"] for one in self._deeds["redeem", row["public_id"]] if one.outcome == OK}
        return [one for one in self._history.of("redeem") if one.may_have_happened and one.facts["cookie"] in mine]

    def _has_lapsed(self, row: Row, at: float) -> bool:
        until = max((seconds(one["expires_at"]) for one in self._tickets[row["id"]]), default=0.0)
        return (until or seconds(row["created_at"]) + self._limits.approval) <= at + CLOCKS_APART

    def _was_idle(self, row: Row, at: float) -> bool:
        served = [one for kind in ("page", "change") for one in self._deeds[kind, row["public_id"]]]
        uses = [one.wall for one in served if one.outcome == OK and (one.wall_ended or at) <= at]
        return max([seconds(row["started_at"]), *uses]) + self._limits.idle <= at + CLOCKS_APART


def _was_tried(row: Row, at: float) -> bool:
    return row["create_attempts"] >= ATTEMPTS or at - seconds(row["provisioning_at"]) >= WINDOW_SECONDS


def _match(key: tuple[object, ...], operations: list[Operation], events: list[Row]) -> list[Broken]:
    """Give each acknowledged operation an event of its own, and each event that is left an unknown one."""
    sure = sorted((one for one in operations if one.outcome == OK), key=lambda one: one.wall_ended or 0)
    maybe = sorted((one for one in operations if one.outcome != OK), key=lambda one: one.wall)
    broken = []
    for row in sorted(events, key=lambda one: seconds(one["occurred_at"])):
        at = seconds(row["occurred_at"])
        # The one that ends first: whoever can wait gets a later event.
        fit = [one for one in sure if one.wall - CLOCK_ERROR <= at <= (one.wall_ended or at) + CLOCK_ERROR]
        late = [one for one in maybe if one.wall - CLOCK_ERROR <= at]
        if fit:
            sure.remove(fit[0])
        elif late:
            maybe.remove(late[0])
        else:
            broken.append(Broken(f"nobody's: {row['event']} {key} at {row['occurred_at']}"))
    return broken + [Broken(f"lost: {one.kind} {key}", (one.number,)) for one in sure]
