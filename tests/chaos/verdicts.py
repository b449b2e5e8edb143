"""What a check says, in numbers: a check that looked at nothing has proven nothing."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Broken:
    """A promise that was not kept, and the operations that show it."""

    words: str
    operations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What one check found."""

    promise: str
    checked: int
    broken: list[Broken] = field(default_factory=list)
