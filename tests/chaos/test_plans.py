"""What is going to be tried follows from the seed alone."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from tests.chaos import plans
from tests.chaos.history import NEVER, OK, Recorder, read


def test_the_same_seed_plans_the_same_and_another_one_something_else() -> None:
    """So a run that broke a promise can be played again."""

    def all_of(seed: str) -> list[object]:
        return [*plans.troubles(seed, 60), *(one for n in range(3) for one in islice(plans.episodes(seed, n), 50))]

    assert all_of("a") == all_of("a")
    assert all_of("a") != all_of("b")


def test_a_minute_of_troubles_has_every_kind() -> None:
    """Each kind comes once before any comes again, and one pause of the leader is longer than its lease."""
    for seed in "abcdef":
        kinds = [one.kind for one in plans.troubles(seed, 60)]
        assert len(kinds) >= 12
        assert len(set(kinds[: len(plans.LASTING) + len(plans.AT_ONCE)])) == min(len(kinds), 13)
        assert all(one.seconds > 20 for one in plans.troubles(seed, 60) if one.kind == plans.STOP_LEADER)


def test_a_history_is_read_as_it_was_written_unfinished_operations_too(tmp_path: Path) -> None:
    """What never came back is unknown, as is what was cut off in the middle of the file's life."""
    recorder = Recorder(tmp_path / "history.jsonl")
    first, second = recorder.begin("0", "page", request="r"), recorder.begin("1", "leave")
    recorder.end(first, OK, status=200)
    recorder.fault("cut", connections=3)
    third = recorder.begin("1", "page")
    recorder.end(third, NEVER, status=0)
    recorder.close()
    there = read(tmp_path / "history.jsonl")
    assert [(one.number, one.outcome) for one in there.operations] == [(first, OK), (second, "unknown"), (third, NEVER)]
    assert [one.may_have_happened for one in there.operations] == [True, True, False]
    assert there.operations[0].ended is not None
    assert there.operations[0].begun <= there.operations[0].ended <= there.faults[0].at
    assert there.operations[0].request == "r"
