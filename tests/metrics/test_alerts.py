"""The sample alerts speak of what there is, and the clock's skew is told where there are two clocks."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from tempadmin.app import create_app
from tempadmin.clock import DatabaseClock, SystemClock
from tempadmin.db import db
from tests.metrics.scraping import TOKEN, parsed
from tests.metrics.test_scrape import LABELS
from tests.world import CONSOLE, settings_for

ALERTS = Path(__file__).parents[2] / "docs/alerts.yml"
SKEW = "tempadmin_clock_skew_seconds"


def test_every_metric_that_an_alert_names_is_told() -> None:
    """An alert on a metric that is never told never fires; LABELS is what a real scrape is compared with."""
    expressions = re.findall(r"^ +expr: (\|(?:\n {10,}.+)+|.+)$", ALERTS.read_text("utf-8"), re.MULTILINE)
    named = {name for one in expressions for name in re.findall(r"tempadmin_\w+", one)}
    assert len(expressions) >= 15
    assert named - set(LABELS) == set()
    assert {name for name in LABELS if name.endswith(("stuck", "leads", "up", "failing"))} <= named


def test_every_label_that_an_alert_names_is_told() -> None:
    """A value in quotes is one that the label can have; those of Prometheus itself apart."""
    known = {label: values for labels in LABELS.values() for label, values in labels.items() if values}
    for label, values in re.findall(r'(\w+)=~?"([^"]+)"', ALERTS.read_text("utf-8")):
        if label not in ("job", "status"):
            assert set(values.split("|")) <= known[label], (label, values)


@pytest.mark.only_postgresql
def test_the_skew_of_a_clock_is_told(database_url: str, tmp_path: Path) -> None:
    """A machine that is an hour ahead says so."""

    class Ahead(SystemClock):
        def now(self):
            return super().now() + timedelta(hours=1)

    settings = settings_for(tmp_path, database_url=database_url, metrics_token=TOKEN)
    app = create_app(settings, clock=DatabaseClock(Ahead()))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    found = parsed(app.test_client().get("/metrics", base_url=CONSOLE, headers=headers).get_data(as_text=True))
    with app.app_context():
        db.engine.dispose()
    assert found.value(SKEW) == pytest.approx(3600, abs=2)
