"""All checks of a history and the final state, in the order of the promises."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos import around, checker, explained
from tests.chaos.explained import Limits
from tests.chaos.final import Final
from tests.chaos.history import History
from tests.chaos.verdicts import Verdict

CHECKS = (
    checker.everything_is_gone,
    checker.one_session_per_ticket,
    checker.nothing_after_an_end,
    checker.nothing_written_after_an_end,
    checker.nothing_after_the_time_limit,
    checker.no_ticket_after_its_expiry,
    checker.only_the_requester_enters,
    checker.every_change_has_its_event,
    around.no_run_twice,
    around.mails_arrive_once,
    around.outages_are_said,
    around.the_program_is_content,
    explained.acknowledged_deeds_stand,
)


@dataclass(frozen=True)
class Seen:
    """A whole run: what people saw, what is there, and what that says."""

    history: History
    final: Final
    verdicts: list[Verdict]


def judge(history: History, final: Final, limits: Limits) -> list[Verdict]:
    """Every check's verdict."""
    return [*(check(history, final) for check in CHECKS), explained.ends_are_explained(history, final, limits)]
