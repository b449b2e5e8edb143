"""Reading a scrape as Prometheus does, by its library's own parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from tests.world import CONSOLE, World

TOKEN = "a-token-for-the-scraper-alone"

Labels = tuple[tuple[str, str], ...]


@dataclass
class Scrape:
    """The samples of one answer."""

    text: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, tuple(sorted(labels.items()))]

    def labels(self, name: str) -> list[Mapping[str, str]]:
        """The labels of every sample of a name."""
        return [dict(labels) for found, labels in self.samples if found == name]

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


def parsed(text: str) -> Scrape:
    """What Prometheus understands; a sample that is told twice is an error to it."""
    scrape = Scrape(text)
    for family in text_string_to_metric_families(text):
        assert family.name not in scrape.kinds, family.name
        scrape.kinds[family.name] = family.type
        assert family.documentation, family.name
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in scrape.samples, key
            scrape.samples[key] = sample.value
    return scrape


def ask(world: World, token: str | None = TOKEN, *, base: str = CONSOLE, method: str = "GET", path: str = "/metrics"):
    """What an address of the metrics answers to this token."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return world.app.test_client().open(path, method=method, base_url=base, headers=headers)


def scrape(world: World) -> Scrape:
    """Scrape an application whose setting is TOKEN."""
    response = ask(world)
    assert response.status_code == 200
    return parsed(response.get_data(as_text=True))
