"""A process that is forked and killed at one failpoint after the other, and heals what each kill left (P1).

`python -m tests.failpoints.matrix FOLDER [DATABASE_URL] [SCENARIO…]` on a database at this version's schema. It says
one line of JSON about each scenario: where a process was killed, and what was wrong after it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from instances.connectors.drill import DRILL
from instances.connectors.registry import connectors
from tempadmin import failpoints
from tempadmin.db import db
from tempadmin.errors import DomainError
from tests.failpoints import scenarios
from tests.failpoints.healing import Healing
from tests.failpoints.points import PACKAGES
from tests.failpoints.stage import DIRECTORY, Cast, Scenario
from tests.world import World, make_world

SETTINGS: dict[str, Any] = {"cleanup_enabled": True, "cleanup_min_age": timedelta(hours=1), "rate_limits": False}
DAY = 25 * 60 * 60


@dataclass(frozen=True)
class Place:
    """A failpoint, and the how many-th time that a scenario comes there."""

    point: str
    time: int = 1

    def __str__(self) -> str:
        return self.point if self.time == 1 else f"{self.point} ({self.time})"


@dataclass(frozen=True)
class Kill:
    """A scenario, and where it is to end."""

    scenario: Scenario
    place: Place
    harmless: bool
    """Whether nothing is committed before."""

    @property
    def point(self) -> str:
        return self.place.point


@dataclass
class Report:
    """What came of a scenario."""

    scenario: str
    places: list[str] = field(default_factory=list)
    """Where a process was killed."""
    problems: list[str] = field(default_factory=list)


class Matrix:
    """All kills on one database."""

    def __init__(self, world: World) -> None:
        self.world, self.healing = world, Healing(world)
        self.tried: set[str] = set()

    def try_out(self, group: Sequence[Scenario]) -> Iterator[Report]:
        """Kill a process at each point of some scenarios where none was killed yet; say what was wrong."""
        reports = {scenario.name: Report(scenario.name) for scenario in group}
        kills = [kill for scenario in group for kill in self._rehearsed(scenario, reports[scenario.name])]
        self.healing.restart(35)
        self.healing.restart(DAY)
        self.healing.go_home()
        for kill in kills:
            reports[kill.scenario.name].places.append(str(kill.place))
        together = [kill for kill in kills if not kill.scenario.one_by_one]
        for some in (together, *([kill] for kill in kills if kill.scenario.one_by_one)):
            for scenario, problem in self._problems(some):
                reports[scenario].problems.append(problem)
        yield from reports.values()

    def _rehearsed(self, scenario: Scenario, report: Report) -> list[Kill]:
        """Play a scenario to its end; return the kills at the places that it comes to."""
        seen: list[Place] = []
        times: Counter[str] = Counter()

        def note(point: str) -> None:
            if point.startswith(PACKAGES):  # a test's own transactions are none of the program's steps
                times[point] += 1
                seen.append(Place(point, times[point]))

        try:
            cast = scenario.prepare(self.world)
            self.world.clock.advance(seconds=30)  # codes that were given are used up
            failpoints.hook = note
            scenario.act(self.world, cast)
        except Exception:  # noqa: BLE001 - it does not play at all, and the others are wanted all the same
            report.problems.append(traceback.format_exc())
        finally:
            failpoints.hook = None
            db.session.rollback()
        first = next((n for n, place in enumerate(seen) if place.point.endswith(":committed")), 0)
        kills = [Kill(scenario, place, harmless=n < first) for n, place in enumerate(seen)]
        chosen = [one for one in kills if scenario.everywhere or (one.place.time == 1 and one.point not in self.tried)]
        self.tried |= {one.point for one in chosen}
        return chosen

    def _problems(self, kills: Sequence[Kill]) -> list[tuple[str, str]]:
        """Kill, heal and look; where something is wrong, find out after which kill, half by half."""
        problems = self._kill_all(kills) if kills else []
        if problems and len(kills) > 1:
            half = len(kills) // 2
            return self._problems(kills[:half]) + self._problems(kills[half:]) or [
                (kills[0].scenario.name, f"killed at one of {len(kills)} places, and at none alone: {problem}")
                for problem in problems
            ]
        return [(one.scenario.name, f"killed at {one.place}: {problem}") for one in kills for problem in problems]

    def _kill_all(self, kills: Sequence[Kill]) -> list[str]:
        """Kill a process at each place, each with people of its own; then start again, and look."""
        casts = [kill.scenario.prepare(self.world) for kill in kills]
        self.world.clock.advance(seconds=30)
        # No connection is to be inherited by a fork.
        db.session.remove()
        db.engine.dispose()
        problems = [found for kill, cast in zip(kills, casts, strict=True) for found in self._kill(kill, cast)]
        alone = len(kills) == 1  # then nothing waits behind others' work
        for seconds in (35,) if alone else (25, 10):
            problems += self.healing.restart(seconds)
        if not any(cast.by_hand for cast in casts):
            problems += self.healing.unsettled()
        problems += [found for kill, cast in zip(kills, casts, strict=True) for found in self._again(kill, cast)]
        for seconds in (DAY,) if alone else (65, DAY):
            problems += self.healing.restart(seconds)
        for _turn in range(5):  # jobs take so many at a time, and some mails follow from what they did
            if not self.healing.is_at_work():
                break
            problems += self.healing.restart(30)
        problems += self.healing.left_over()
        self.healing.go_home()
        return problems

    def _kill(self, kill: Kill, cast: Cast) -> Iterator[str]:
        child = os.fork()
        if child == 0:
            try:
                gc.disable()
                failpoints.hook = Dying(kill.place)
                kill.scenario.act(self.world, cast)
            except BaseException:  # noqa: BLE001 - nothing may get out into the parent's code
                traceback.print_exc()
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != -signal.SIGKILL:
            yield f"{kill.place} was not reached again (exit code {code})"

    def _again(self, kill: Kill, cast: Cast) -> Iterator[str]:
        """Whoever saw no answer tries again: they are told why not, or it works; and it does where nothing happened."""
        try:
            kill.scenario.act(self.world, cast)
        except DomainError as refusal:
            if kill.harmless and not cast.by_hand:
                yield f"nothing was committed, and trying again says: {type(refusal).__name__}: {refusal}"
        except Exception:  # noqa: BLE001 - whatever it is, it is what the person sees
            yield f"trying again: {traceback.format_exc()}"
        finally:
            db.session.rollback()


class Dying:
    """A hook that kills its process at a place."""

    def __init__(self, place: Place) -> None:
        self.place, self.times = place, 0

    def __call__(self, point: str) -> None:
        self.times += point == self.place.point
        if point == self.place.point and self.times == self.place.time:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, url: str = "", *names: str) -> None:
    """Try all scenarios, or those named."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    where: dict[str, Any] = {"database_url": url} if url else {}
    world = make_world(Path(folder), **SETTINGS, **where)
    connectors(world.app)[DRILL] = DIRECTORY
    with world.app.app_context():
        world.default_instance()
        matrix = Matrix(world)
        for group in scenarios.groups(*names):
            for report in matrix.try_out(group):
                answers.write(json.dumps(asdict(report)) + "\n")
            answers.flush()
        answers.write(json.dumps(asdict(Report("in the end", [], matrix.healing.broken_promises()))) + "\n")
    answers.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
