"""Does everything around the accesses keep its promises: jobs, mails, answers in an outage, the record."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.chaos.final import Final
from tests.chaos.history import History
from tests.chaos.verdicts import Broken, Verdict


def no_run_twice(_history: History, final: Final) -> Verdict:
    """P14: a job ran at most once for each of its due times."""
    twice = [Broken(f"ran {times} times for {due}") for due, times in Counter(final.runs).items() if times > 1]
    return Verdict("P14 a job at most once per due time", len(final.runs), twice)


def mails_arrive_once(_history: History, final: Final) -> Verdict:
    """A mail that was marked sent was; it is sent again only where the first try was cut off."""
    tries, sent, got = Counter[str](), Counter[str](), Counter(mail.partition("\n")[0] for mail in final.mails)
    most: defaultdict[str, int] = defaultdict(int)
    for row in final.outbox:
        tries[row["recipient"]] += row["attempts"]
        sent[row["recipient"]] += row["sent_at"] is not None
        most[row["recipient"]] = max(most[row["recipient"]], row["attempts"])
    broken = [
        Broken(f"{who}: {got[who]} mails came of {tries[who]} tries, {sent[who]} marked sent")
        for who in tries
        if not sent[who] <= got[who] <= tries[who]
    ]
    for mail, times in Counter(final.mails).items():
        who = mail.partition("\n")[0]
        if times > max(1, most[who]):
            broken.append(Broken(f"{who} got one mail {times} times, tried {most[who]} times at most"))
    return Verdict("each mail once, twice only after a cut", len(final.mails), broken)


def outages_are_said(history: History, _final: Final) -> Verdict:
    """Requests in flight get 503 with ``Retry-After``, and never 500."""
    failed = [one for one in history.operations if int(one.found.get("status", 0)) >= 500]
    broken = [
        Broken(
            f"{one.kind} was answered {one.found['status']}, Retry-After {one.found.get('retry_after')}", (one.number,)
        )
        for one in failed
        if one.found["status"] != 503 or not one.found.get("retry_after")
    ]
    return Verdict("an outage is answered 503 with Retry-After", len(failed), broken)


def the_program_is_content(_history: History, final: Final) -> Verdict:
    """The audit chains verify, and `doctor` finds nothing, nor a broken invariant."""
    return Verdict(
        "audit verify, doctor, doctor --invariants", len(final.events), [Broken(one) for one in final.complaints]
    )
