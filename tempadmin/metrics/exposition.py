"""The figures as Prometheus reads them. The only file that speaks its library; imported where metrics are on.

With several workers each counts in files of its own, which are added up for whoever asks (``workers.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import structlog
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tempadmin.db import db
from tempadmin.metrics import clock, workers
from tempadmin.metrics.registry import Figure, Reading, Tally, registry
from tempadmin.runtime import current_runtime

LONGEST_STATEMENT_SECONDS = 2
BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

UP = Figure(name="tempadmin_up", help="Whether all figures could be read from the database just now.")

log = structlog.get_logger()


class Exposition:
    """What one application tells; also the sink of its tallies."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, app: Flask) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._app = app
        self._counted = CollectorRegistry()
        self._durations = Histogram(
            "tempadmin_http_request_duration_seconds",
            "How long answers took, by the name of the route (none: no such address).",
            ["route", "method", "status"],
            buckets=BUCKETS,
            registry=self._counted,
        )
        self._tallies: dict[str, Counter] = {}
        for tally in registry(app).tallies:
            counter = Counter(tally.name, tally.help, list(tally.labels), registry=self._counted)
            for values in product(*tally.labels.values()):
                counter.labels(*values)  # there from the start, as 0: the first one ever is a rise, too
            self._tallies[tally.name] = counter

    def count(self, tally: Tally, *values: str) -> None:
        """Count one."""
        self._tallies[tally.name].labels(*values).inc()

    def observe(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Note how long an answer took."""
        self._durations.labels(route, method, f"{status // 100}xx").observe(seconds)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format; what the database does not tell is left out."""
        present = CollectorRegistry()
        present.register(_Found(list(self._read())))
        folder = workers.folder()
        if folder is None:
            return generate_latest(present) + generate_latest(self._counted)
        with workers.all_there():
            summed = CollectorRegistry()
            MultiProcessCollector(summed, path=str(folder))  # type: ignore[no-untyped-call]
            return generate_latest(present) + generate_latest(summed)

    def _read(self) -> Iterator[Reading]:
        """Read from the database, in a context of its own; one source that fails costs its own figures."""
        everything = True
        with self._app.app_context():
            runtime = current_runtime()
            for source in [_bounded, clock.read, *registry(self._app).sources]:
                try:
                    yield from list(source(runtime))
                except Exception as error:  # noqa: BLE001 - a row that cannot be read, a server that is away
                    everything = False
                    db.session.rollback()
                    log.warning("metrics.not_read", source=source.__module__, error=type(error).__name__)
                    if isinstance(error, SQLAlchemyError):
                        break  # the next one would wait for the same time-outs
        yield UP.of(float(everything))


def _bounded(_runtime: object) -> list[Reading]:
    """Let no statement of this reading take long; the transaction is rolled back with its context."""
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text(f"SET LOCAL statement_timeout = '{LONGEST_STATEMENT_SECONDS}s'"))
    return []


class _Found:
    """Readings in the form that the library collects."""

    def __init__(self, readings: list[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        for figure, values in self._readings:
            family = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            metric = family(figure.name, figure.help, labels=list(figure.labels))
            for labels, value in values.items():
                metric.add_metric(list(labels), value)
            yield metric
