"""Does a history keep the promises about accesses? Pure functions over a history and the final state."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise

from tests.chaos.final import CLOCKS_APART, Final, Row, seconds
from tests.chaos.history import OK, History, Operation
from tests.chaos.verdicts import Broken, Verdict

INSIDE = frozenset({"page", "settings", "change"})
ON_THE_WAY = frozenset({"approve", "start", "send-again", "confirmation", "confirm", "new_link"})
SERVED = INSIDE | ON_THE_WAY | {"depart", "enter", "redeem"}
"""What must not be served any more once an end was acknowledged."""
ENDS = frozenset({"leave", "end", "cancel", "end_by_omniadmin", "end_by_customer", "not_me", "reject"})
AFTER_AN_END = frozenset(
    {"access.ended", "access.removal_failed", "access.wrong_code", "access.orphan_removed", "access.ending"}
)
"""What may stand in the record of a request whose end stands there: the service's own work, and late guesses."""
PATH = {
    "created_at": "access.requested",
    "provisioned_at": "access.provisioned",
    "confirmed_at": "access.confirmed",
    "started_at": "access.entered",
    "ending_at": "access.ending",
    "ended_at": "access.ended",
}
"""The moments of a request's row, in the order of the machine, and the event of each."""


def one_session_per_ticket(history: History, final: Final) -> Verdict:
    """P2: whatever came in at once, a request has one session at most, for the one who asked."""
    opened: defaultdict[str, dict[str, Operation]] = defaultdict(dict)
    for one in history.of("redeem"):
        if one.outcome == OK and one.request is not None:
            opened[one.request].setdefault(one.found["session"], one)
    broken = [
        Broken(f"{request} gave {len(by)} sessions", tuple(one.number for one in by.values()))
        for request, by in opened.items()
        if len(by) > 1
    ]
    entered = Counter(row["request_id"] for row in final.events if row["event"] == "access.entered")
    broken += [
        Broken(f"request {request} was entered {times} times") for request, times in entered.items() if times > 1
    ]
    return Verdict("P2 at most one session per ticket", max(len(opened), len(entered)), broken)


def nothing_after_an_end(history: History, final: Final) -> Verdict:
    """P3: what was sent after an end was acknowledged is not served, with whatever old secret."""
    over, checked, broken = ends(history), 0, []
    # Inside, it is the cookie that counts: a window may hold the session of an earlier access.
    owners = {
        one.found["session"]: one.request
        for one in history.of("redeem")
        if one.outcome == OK and one.request is not None
    }
    for one in history.of(*SERVED):
        request = owners.get(one.facts["cookie"], one.request) if one.kind in INSIDE else one.request
        if request is None or request not in over or one.begun <= over[request][0]:
            continue
        checked += 1
        if one.outcome == OK:
            broken.append(Broken(f"{one.kind} of {request} after its end", (over[request][1], one.number)))
    return Verdict("P3 no request served after an acknowledged end", checked, broken)


def nothing_written_after_an_end(_history: History, final: Final) -> Verdict:
    """P3: nothing that was in flight is committed after the end: a chain has the order of the commits."""
    ended: set[int] = set()
    broken = []
    for row in final.events:
        if row["request_id"] in ended and row["event"] not in AFTER_AN_END:
            broken.append(Broken(f"{row['event']} of request {row['request_id']} stands after its end"))
        if row["event"] == "access.ending":
            ended.add(row["request_id"])
    return Verdict("P3 nothing committed after an end", len(ended), broken)


def nothing_after_the_time_limit(history: History, final: Final) -> Verdict:
    """P3: at its time limit an access is refused, whether or not a job has come to end it."""
    until = {row["public_id"]: seconds(row["ends_at"]) for row in final.requests if row["ends_at"] is not None}
    checked, broken = 0, []
    for one in history.of("page", "change"):
        if one.request in until and one.wall >= until[one.request] + CLOCKS_APART:
            checked += 1
            if one.outcome == OK:
                broken.append(Broken(f"{one.kind} of {one.request} after its time limit", (one.number,)))
    return Verdict("P3 no request served after the time limit", checked, broken)


def no_ticket_after_its_expiry(_history: History, final: Final) -> Verdict:
    """P4: a ticket is used before it expires, however long that waited."""
    used = [row for row in final.tickets if row["used_at"] is not None]
    late = [Broken(f"ticket {row['id']} was used late") for row in used if row["used_at"] >= row["expires_at"]]
    return Verdict("P4 no ticket used at or after its expiry", len(used), late)


def only_the_requester_enters(history: History, final: Final) -> Verdict:
    """P5: nobody else gets a code or a session, with whatever link."""
    asked = {row["public_id"]: row["requester_id"] for row in final.requests}
    tried = [one for one in history.of("enter", "redeem") if one.request in asked]
    broken = [
        Broken(f"{one.kind} of {one.request} by person {one.facts['person']}", (one.number,))
        for one in tried
        if one.outcome == OK and one.facts["person"] != asked[one.request or ""]
    ]
    return Verdict("P5 nobody but the requester gets in", len(tried), broken)


def everything_is_gone(_history: History, final: Final) -> Verdict:
    """P1: all requests ended, every account gone, and none ever seen that nobody was entitled to."""
    broken = [
        Broken(f"request {row['public_id']} is {row['state']}") for row in final.requests if row["state"] != "ended"
    ]
    broken += [Broken(f"still there: {one}") for one in final.accounts] + [Broken(one) for one in final.strays]
    return Verdict(f"P1 every account gone ({final.looks} looks on the way)", len(final.requests), broken)


def every_change_has_its_event(_history: History, final: Final) -> Verdict:
    """P13: the moments of a request are those of its events, each once, in the order of the machine."""
    events = of_requests(final)
    broken = []
    for row in final.requests:
        mine = events.get(row["id"], [])
        moments = []
        for column, name in PATH.items():
            found = [one["occurred_at"] for one in mine if one["event"] == name]
            wanted = [] if row[column] is None else [row[column]]
            if found != wanted:
                broken.append(Broken(f"{row['public_id']}: {column} is {wanted}, its events say {found}"))
            moments += found
        order = [one["event"] for one in mine if one["event"] in PATH.values()]
        if order != [name for name in PATH.values() if name in order] or _go_back(moments):
            broken.append(Broken(f"{row['public_id']} went {', '.join(order)}"))
        reasons = [one["details"] for one in mine if one["event"] == "access.ending"]
        if any(f'"reason": "{row["end_reason"]}"' not in one for one in reasons):
            broken.append(Broken(f"{row['public_id']} ended as {row['end_reason']}, its event says {reasons}"))
    return Verdict("P13 every change has its event", len(final.requests), broken)


def _go_back(moments: list[datetime]) -> bool:
    """Tell whether one is earlier than the one before, by more than two clocks may differ."""
    return any((before - after).total_seconds() > CLOCKS_APART for before, after in pairwise(moments))


def ends(history: History) -> dict[str, tuple[float, int]]:
    """When the first end of each request was acknowledged, and by which operation."""
    over: dict[str, tuple[float, int]] = {}

    def note(request: str | None, one: Operation) -> None:
        if request is not None and one.ended is not None and one.ended < over.get(request, (float("inf"), 0))[0]:
            over[request] = one.ended, one.number

    for one in history.of(*ENDS):
        if one.outcome == OK:
            note(one.request, one)
    asked = [one for one in history.of("request") if one.outcome == OK and one.ended is not None]
    for one in history.of("sign_out"):
        if one.outcome != OK:
            continue
        for request in asked:
            if request.facts["person"] == one.facts["person"] and (request.ended or 0) <= one.begun:
                note(request.request, one)
    return over


def of_requests(final: Final) -> dict[int, list[Row]]:
    """The events of each request, in the order of the chain."""
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in final.events:
        if row["request_id"] is not None:
            found[row["request_id"]].append(row)
    return dict(found)
