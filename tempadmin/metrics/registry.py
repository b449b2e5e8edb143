"""What is measured: modules describe it here, and none of them knows Prometheus, which is loaded only where it is on.

Truth that stands in the database is read from there when somebody asks (``Source``): it is right after a restart, and
the same on every machine. Only what leaves no row is counted where it happens (``Tally``). No label ever holds an id,
an address, or a name that a person chose: their values are few, and known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

from flask import Flask

from tempadmin.runtime import Runtime, application

EXTENSION = "tempadmin.metrics"

Values = Mapping[tuple[str, ...], float]
"""Numbers by the values of the labels."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number that is read when somebody asks; a counter's name ends in ``_total``."""

    name: str
    help: str
    labels: Sequence[str] = ()

    @property
    def kind(self) -> Literal["counter", "gauge"]:
        """What Prometheus may do with it: a counter only grows."""
        return "counter" if self.name.endswith("_total") else "gauge"

    def of(self, values: Values | float) -> Reading:
        """Return it with what was read: a number, or one for each combination of labels."""
        return self, values if isinstance(values, Mapping) else {(): float(values)}


Reading = tuple[Figure, Values]
Source = Callable[[Runtime], Iterable[Reading]]
"""Reads a module's figures in few cheap statements, within an application context; writes nothing."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """A number that is counted where something happens and leaves no row; every label names all of its values."""

    name: str
    help: str
    labels: Mapping[str, Sequence[str]]


class Sink(Protocol):
    """What keeps the tallies where metrics are on."""

    def count(self, tally: Tally, *values: str) -> None:
        """Count one."""
        ...


@dataclass
class Registry:
    """The sources and tallies of one application; without a sink nothing is counted."""

    sources: list[Source] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    sink: Sink | None = None


def registry(app: Flask) -> Registry:
    """Return the application's registry; modules append to it."""
    return cast(Registry, app.extensions.setdefault(EXTENSION, Registry()))


def count(tally: Tally, *values: str) -> None:
    """Count one under these values of the tally's labels, in their order; nothing where metrics are off."""
    sink = registry(application()).sink
    if sink is not None:
        sink.count(tally, *values)
