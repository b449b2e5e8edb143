"""The history: who began what and when, and how it came back; one JSON line each, never changed.

Times are seconds of the monotonic clock, which all processes of a machine share; ``wall`` is the time of day beside
it, to compare with what the service wrote. An operation without a completion, or with ``unknown``, may have happened
or not, and at any moment after it began.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OK, REFUSED, NEVER, UNKNOWN = "ok", "refused", "never", "unknown"
"""It did what was asked; it was answered and did not; it was never sent; nobody knows."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One HTTP request of somebody, as they saw it."""

    number: int
    client: str
    kind: str
    begun: float
    wall: float
    facts: dict[str, Any] = field(default_factory=dict)
    outcome: str = UNKNOWN
    ended: float | None = None
    wall_ended: float | None = None
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def request(self) -> str | None:
        """The public id of the access request that it is about, where that was known."""
        told: str | None = self.found.get("request") or self.facts.get("request")
        return told

    @property
    def may_have_happened(self) -> bool:
        """Whether its effect can be in the database."""
        return self.outcome in (OK, UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What the nemesis did."""

    kind: str
    at: float
    wall: float
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class History:
    """All of it, in the order of its beginnings."""

    operations: list[Operation]
    faults: list[Fault] = field(default_factory=list)

    def of(self, *kinds: str) -> Iterable[Operation]:
        """The operations of some kinds."""
        return (one for one in self.operations if one.kind in kinds)


class Recorder:
    """Writes a history down while it happens; threads may share it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._last = 0

    def begin(self, client: str, kind: str, **facts: Any) -> int:
        """Write that an operation begins; call it just before it is sent."""
        with self._lock:
            self._last += 1
            number = self._last
            self._write("begin", number=number, client=client, kind=kind, facts=facts)
        return number

    def end(self, number: int, outcome: str, **found: Any) -> None:
        """Write how it came back; call it just after."""
        with self._lock:
            self._write("end", number=number, outcome=outcome, found=found)

    def fault(self, kind: str, **facts: Any) -> None:
        """Write what the nemesis has just done."""
        with self._lock:
            self._write("fault", kind=kind, facts=facts)

    def close(self) -> None:
        self._file.close()

    def _write(self, what: str, **values: Any) -> None:
        line = {"what": what, "at": time.monotonic(), "wall": time.time(), **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def read(path: Path) -> History:
    """Read a history that was written down, finished or not."""
    begun: dict[int, dict[str, Any]] = {}
    ended: dict[int, dict[str, Any]] = {}
    faults: list[Fault] = []
    take: dict[str, Callable[[dict[str, Any]], object]] = {
        "begin": lambda line: begun.setdefault(line["number"], line),
        "end": lambda line: ended.setdefault(line["number"], line),
        "fault": lambda line: faults.append(
            Fault(kind=line["kind"], at=line["at"], wall=line["wall"], facts=line["facts"])
        ),
    }
    with path.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            take[line["what"]](line)
    return History(operations=[_operation(line, ended.get(number)) for number, line in begun.items()], faults=faults)


def _operation(begun: dict[str, Any], ended: dict[str, Any] | None) -> Operation:
    first = {name: begun[name] for name in ("number", "client", "kind", "wall", "facts")}
    if ended is None:
        return Operation(**first, begun=begun["at"])
    last = {"outcome": ended["outcome"], "ended": ended["at"], "wall_ended": ended["wall"], "found": ended["found"]}
    return Operation(**first, begun=begun["at"], **last)
